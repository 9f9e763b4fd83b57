import { isEventStream } from "#protocol/header.ts";
import { failureResponse } from "#protocol/stand-in.ts";
import type { Env } from "../env.ts";
import { bytesOfLength } from "../http/bytes-of-length.ts";
import { withClosingWord } from "./closing-word.ts";
import { failureIn, isFailure } from "./machine-failure.ts";
import { FROZEN_AFTER_MS, lookAt, ScriptWatch } from "./script-watch.ts";
import { passToMachine } from "./script-client.ts";

/**
 * Answers of up to this length are read whole before they are passed on. To read one costs less CPU than to pipe it, which is how a body ends
 * together with its caller's authorisation (sign-in/lease.ts). Bytes.
 */
const WHOLE_BYTES = 64 * 1024;

/** Where a call goes, and on whose behalf. `path` includes the query. */
export type Destination = { user: string; name: string; slug: string; path: string };

/** What a caller gets. */
export type Relayed = {
  readonly response: Response;
  /** Whether all of it is there, so that nothing is left that could break off or go on without end. */
  readonly isWhole: boolean;
  /** The response's body, if it was read. */
  readonly body?: Uint8Array;
};

export function whole(response: Response): Relayed {
  return { response, isWhole: true };
}

/**
 * Passes one client's call to a machine's own endpoint unchanged, and always answers, even if the script fails.
 *
 * How a call can fail here, and what its caller gets. machine-template/README.md lists the failures beyond the script.
 *
 * - The dispatch Worker or the script answers with one of Operator's errors: the same error, as JSON-RPC with the request's id.
 * - The connection to the dispatch Worker breaks before the response: `link_lost`, since the call may have run.
 * - The script hangs: `machine_timeout` after `FROZEN_AFTER_MS`.
 * - The response is an event stream and breaks off, or ends without the script's mark: its last event is `link_lost` with the
 *   request's id.
 * - A small response whose length was announced breaks off: `link_lost`, because it is read whole before anything of it is sent.
 * - Any other response breaks off: the client's connection breaks off too. It must not end normally, or a client would take a
 *   truncated body for a complete one.
 *
 * @param body the request's body if it was read, from which the JSON-RPC ids are taken; `null` if it is streamed.
 * @param signal aborted when the client leaves, or loses access
 */
export async function relay(
  request: Request,
  env: Env,
  { user, name, slug, path }: Destination,
  body: Uint8Array | null,
  signal: AbortSignal,
): Promise<Relayed> {
  const { promise: frozen, resolve } = Promise.withResolvers<"frozen">();
  const watch = new ScriptWatch(lookAt(env, user, name), () => resolve("frozen"));
  try {
    // If `frozen` wins, the call is left alone: the runtime cancels it when this request ends.
    const answer = await Promise.race([passToMachine(request, env, user, slug, path, body, signal), frozen]);
    if (answer === "frozen") {
      await env.USER.getByName(user).doubt(name);
      return whole(failureResponse({ code: "machine_timeout", machine: name, afterMs: FROZEN_AFTER_MS }, body));
    }
    watch.end();
    if (isFailure(answer)) {
      const error = await failureIn(answer, name);
      // Repeats the slug from the request: the response must not differ between a machine that does not exist and another user's,
      // or callers could find out the names of other users' machines.
      return whole(failureResponse(error.code === "machine_unknown" ? { ...error, machine: slug } : error, body));
    }
    const small = smallBodyOf(answer);
    if (small !== null)
      return { response: answer, isWhole: true, body: await bytesOfLength(small.stream, small.length) };
    const response = withClosingWord(answer, request.method, body, { code: "link_lost", machine: name });
    return { response, isWhole: false };
  } catch (reason) {
    if (signal.aborted) throw reason; // the client has disconnected or lost access, so no response can reach it
    console.error("the connection to a machine's script was lost", { machine: slug, reason: String(reason) });
    return whole(failureResponse({ code: "link_lost", machine: name }, body));
  } finally {
    watch.end();
  }
}

/** The answer's body, if it is small and its length was announced. An event stream ends with a mark, which is taken off elsewhere. */
function smallBodyOf(answer: Response): { readonly stream: ReadableStream; readonly length: number } | null {
  const length = Number(answer.headers.get("content-length") ?? Number.NaN);
  if (!(length <= WHOLE_BYTES) || isEventStream(answer.headers.get("content-type"))) return null;
  // The body comes last: asking for it makes workerd build a stream for it. There is none after HEAD, or with a status of 304.
  return answer.body === null ? null : { stream: answer.body, length };
}
