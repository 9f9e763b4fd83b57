import type { PageContext } from "../page-context.ts";
import { MessagePage } from "../pages/message-page.tsx";
import { respond } from "../pages/respond.tsx";

/** The answer to a form that none of our own pages sent recently: cross-site request forgery, or a page left open too long. */
export function refuseForeignForm(c: PageContext): Response {
  const page = (
    <MessagePage title="This did not come from here">
      <p>The form was sent by another site, or from a page that is too old. Nothing was done.</p>
      <p>
        <a href="/account">Start again</a>
      </p>
    </MessagePage>
  );
  return respond(c, { title: "Not done", status: 403 }, page);
}
