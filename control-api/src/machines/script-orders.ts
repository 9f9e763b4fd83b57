import type { CloseCode } from "#protocol/close-code.ts";
import { LIVE_MS } from "#protocol/limits.ts";
import { ScriptPath } from "#protocol/script-api.ts";
import { type DispatchBindings, postToMachine } from "./script-client.ts";

/** Time limit for closing a link. A script answers at once; if it does not, it has no working link. Milliseconds. */
const CLOSE_TIMEOUT_MS = 5_000;

/** Time limit for the others, which change a script's own storage or memory. Milliseconds. */
const ORDER_TIMEOUT_MS = 5_000;

/** Closes a machine's link. A failure is only logged: a script that does not answer has no working link. */
export async function closeLink(
  env: DispatchBindings,
  user: string,
  name: string,
  code: CloseCode,
  reason: string,
): Promise<void> {
  try {
    const signal = AbortSignal.timeout(CLOSE_TIMEOUT_MS);
    const response = await postToMachine(env, user, name, ScriptPath.CLOSE, { code, reason }, signal);
    await response.body?.cancel();
  } catch (failure) {
    console.warn("a machine's link could not be closed first", { machine: name, failure: String(failure) });
  }
}

/** Deletes a machine's or a session's events from its script's own log. @throws when the script does not */
export async function forgetAtScript(
  env: DispatchBindings,
  user: string,
  machine: string,
  session: string | null,
): Promise<void> {
  const signal = AbortSignal.timeout(ORDER_TIMEOUT_MS);
  const answer = await postToMachine(env, user, machine, ScriptPath.FORGET, { session }, signal);
  await answer.body?.cancel();
  if (!answer.ok) throw new Error(`the script of ${machine} did not forget: HTTP ${answer.status}`);
}

/** Tells a script that somebody watches. One that does not know of this is of an older template, which reports every piece. */
export async function tellWatched(env: DispatchBindings, user: string, name: string): Promise<void> {
  try {
    const signal = AbortSignal.timeout(ORDER_TIMEOUT_MS);
    const response = await postToMachine(env, user, name, ScriptPath.LIVE, { forMs: LIVE_MS }, signal);
    await response.body?.cancel();
  } catch (reason) {
    // It learns it from the answer to its next report.
    console.warn("a script could not be told that somebody watches", { machine: name, reason: String(reason) });
  }
}
