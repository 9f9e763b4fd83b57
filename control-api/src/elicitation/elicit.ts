import type { ClientAnswer, Form } from "./form.ts";

/**
 * How the client of a call can put a form to its person.
 *
 * - `request`: revisions before 2026-07-28. The form is a request on the call's own event stream, and the call waits for the answer.
 *   `ask` answers `null` if there was none in time, or `ended` was aborted.
 * - `result`: 2026-07-28. The form is the call's result, and the client calls again with the answer (`retry`). `canShow`: whether the client
 *   says that it can show forms. One that comes back without saying so does come back: its prompt must not be sent again.
 */
export type Elicit =
  | {
      readonly by: "request";
      readonly ask: (form: Form, timeoutMs: number, ended: AbortSignal) => Promise<ClientAnswer | null>;
    }
  | { readonly by: "result"; readonly canShow: boolean; readonly retry: Retry | null };

/** What a client came back with, unchecked. */
export type Retry = { readonly state: string; readonly responses: Readonly<Record<string, unknown>> };

/** The name of the one form in an `input_required` result. */
export const FORM = "decision";
