import { plainOf } from "./foreign-text.ts";
import { MessagePage } from "./message-page.tsx";
import { respond } from "./respond.tsx";

/** What of an address is repeated. A longer one was made up by a program. */
const MAX_PATH_CHARACTERS = 200;

const MB = 1024 * 1024;

/** For a browser at an address that does not exist. */
export function unknownAddress(pathname: string): Response {
  const page = (
    <MessagePage title="There is nothing here">
      <p>
        No page has the address <code>{plainOf(pathname, MAX_PATH_CHARACTERS)}</code>.
      </p>
      <p>
        <a href="/">Go to the overview</a>
      </p>
    </MessagePage>
  );
  return respond({ title: "Not found", status: 404 }, page);
}

/** For a browser whose request failed. What failed is in the log, not on the page. */
export function somethingFailed(): Response {
  const page = (
    <MessagePage title="Something went wrong">
      <p>
        Operator could not make this page. Try again in a moment. If you had sent a form, look first whether it was
        carried out.
      </p>
      <p>
        <a href="/">Go to the overview</a>
      </p>
    </MessagePage>
  );
  return respond({ title: "Error", status: 500 }, page);
}

/** For a browser whose form could not be read: mostly one with large files. Nothing of it was carried out. */
export function unreadForm(limit: number, status: 400 | 429): Response {
  const page = (
    <MessagePage title="This form could not be read">
      <p>
        {status === 429
          ? "Too much is being sent from your address at once. Nothing was done. Go back, and try again in a moment."
          : `It has more than ${limit / MB} MB, or took too long to arrive. Nothing was done. Go back, and send less text or smaller files.`}
      </p>
      <p>
        <a href="/">Go to the overview</a>
      </p>
    </MessagePage>
  );
  return respond({ title: "Not read", status }, page);
}

/** For a browser at an address that sends too many requests. */
export function tooManyRequests(afterMs: number): Response {
  const page = (
    <MessagePage title="Too many requests">
      <p>{`Too many requests came from your address. Try again in ${Math.max(1, Math.ceil(afterMs / 1_000))} s.`}</p>
      <p>
        <a href="/">Go to the overview</a>
      </p>
    </MessagePage>
  );
  return respond({ title: "Too many requests", status: 429 }, page);
}

/** For a browser that reached Operator by a name that is not its own. Its style sheet is not at that name either. */
export function foreignHost(origin: string): Response {
  const page = (
    <MessagePage title="This Operator has another address">
      <p>
        Open it at <a href={origin}>{origin}</a>.
      </p>
    </MessagePage>
  );
  return respond({ title: "Another address", status: 400 }, page);
}
