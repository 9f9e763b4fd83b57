import * as z from "zod/mini";
import { isRecord } from "#protocol/json.ts";
import type { Caller } from "../http/caller.ts";
import { ended } from "../http/ended.ts";
import type { Elicit } from "./elicit.ts";
import { ClientAnswer } from "./form.ts";

type Registry = {
  answerToForm(key: string, timeoutMs: number): Promise<ClientAnswer | null>;
  answerForm(key: string, answer: ClientAnswer | null): Promise<boolean>;
};
type FormBindings = { readonly USER: { getByName(user: string): Registry } };

/** The stream of a call, on which requests and notifications reach its client. */
type Stream = {
  readonly request: (id: string, method: string, params: object) => Promise<void>;
  readonly notify: (method: string, params: Record<string, unknown>) => Promise<void>;
};

/** Ids of our requests to clients begin with this, so that an answer can be told from everything else that clients send. */
const ID_PREFIX = "form-";

/** A session id ends with this if its client can show forms. Nothing is stored under a session id, so it says so itself. */
const FORM_SESSION = "-form";

/** The session id for a client that has just introduced itself (`initialize`). */
export function newSession(initialize: unknown): string {
  const params = isRecord(initialize) ? initialize["params"] : null;
  const capabilities = isRecord(params) ? params["capabilities"] : null;
  return crypto.randomUUID() + (showsForms(capabilities) ? FORM_SESSION : "");
}

/** Whether the client of this session said that it can show forms. A client that forges the id deceives itself alone. */
export function isFormSession(session: string): boolean {
  return session.endsWith(FORM_SESSION);
}

/** Whether a client can show forms: `elicitation: {}`, or since 2025-11-25 `elicitation: { form: {} }`. One with `url` alone cannot. */
export function showsForms(capabilities: unknown): boolean {
  const elicitation = isRecord(capabilities) ? capabilities["elicitation"] : null;
  return isRecord(elicitation) && (isRecord(elicitation["form"]) || Object.keys(elicitation).length === 0);
}

/** Puts forms to the client of a call before 2026-07-28, by a request on the call's stream. */
export function formsOnStream(env: FormBindings, caller: Caller, session: string, stream: Stream): Elicit {
  return {
    by: "request",
    ask: async (form, timeoutMs, over) => {
      const id = ID_PREFIX + crypto.randomUUID();
      const registry = env.USER.getByName(caller.user);
      const key = keyOf(caller, session, id);
      const answer = registry.answerToForm(key, timeoutMs).catch((reason: unknown) => {
        // The user's object restarts. What was asked waits in the inbox.
        console.warn("a form was given up", { reason: String(reason) });
        return null;
      });
      await stream.request(id, "elicitation/create", form);
      const given = await Promise.race([answer, ended(over)]);
      if (given === null) {
        await Promise.all([
          registry.answerForm(key, null).catch(() => false), // it restarted, and knows of no form any more
          stream.notify("notifications/cancelled", { requestId: id, reason: "This is decided, or takes too long." }),
        ]);
      }
      return given;
    },
  };
}

const Answered = z.object({
  id: z.string().check(z.refine((id) => id.startsWith(ID_PREFIX))),
  result: z.optional(z.unknown()),
  error: z.optional(z.unknown()),
});

/** Whether a client's message is its answer to a form; if it is, passes it on. An error stands for "could not ask". */
export async function takeAnswer(env: FormBindings, caller: Caller, session: string, body: unknown): Promise<boolean> {
  const message = isRecord(body) && !("method" in body) ? Answered.safeParse(body).data : undefined;
  if (message === undefined) return false;
  const answer = ClientAnswer.safeParse(message.result).data ?? { action: "cancel" as const };
  await env.USER.getByName(caller.user).answerForm(keyOf(caller, session, message.id), answer);
  return true;
}

/** Only the client that was asked can answer: it alone has the id, and shows the same session and credential. */
function keyOf(caller: Caller, session: string, id: string): string {
  return JSON.stringify([session, caller.credential ?? caller.client, id]);
}
