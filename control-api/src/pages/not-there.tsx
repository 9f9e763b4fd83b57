import { MessagePage } from "../design/message-page.tsx";
import type { PageContext } from "../sign-in/page-context.ts";
import { personPage } from "../sign-in/person-page.ts";

/** The page for a machine or session that this person does not have. It is the same whether somebody else has one of that name. */
export function notThere(c: PageContext, what: "machine" | "session"): Promise<Response> {
  const page = (
    <MessagePage title={`There is no such ${what}`}>
      <p>It may have been renamed or removed, or it never told Operator of itself.</p>
      <p>
        <a href={`/${what}s`}>All {what}s</a>
      </p>
    </MessagePage>
  );
  return personPage(c, { title: "Not found", status: 404, at: `${what}s` }, page);
}
