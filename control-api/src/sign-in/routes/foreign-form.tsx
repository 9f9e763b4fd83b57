import { MessagePage } from "../../design/message-page.tsx";
import { respond } from "../../design/respond.tsx";

/** The response to a form without a valid CSRF token: another site sent it, or the page was open since before the last sign-in. */
export function refuseForeignForm(): Response {
  const page = (
    <MessagePage title="This form was not accepted">
      <p>
        Another site sent the form, the page was open for too long, or somebody else has signed in meanwhile. Nothing
        was changed.
      </p>
      <p>
        <a href="/">Start again</a>
      </p>
    </MessagePage>
  );
  return respond({ title: "Not accepted", status: 403 }, page);
}
