import { MessagePage } from "../design/message-page.tsx";
import { respond } from "../design/respond.tsx";

/** The page for a machine or session that this person does not have. It is the same whether somebody else has one of that name. */
export function notThere(what: "machine" | "session"): Response {
  const page = (
    <MessagePage title={`There is no such ${what}`}>
      <p>It may have been renamed or removed, or it never told Operator of itself.</p>
      <p>
        <a href={`/${what}s`}>All {what}s</a>
      </p>
    </MessagePage>
  );
  return respond({ title: "Not found", status: 404, at: `${what}s` }, page);
}
