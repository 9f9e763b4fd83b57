import { type OperatorError } from "#protocol/error.ts";
import { closingWord, failureResponse } from "#protocol/stand-in.ts";
import type { Env } from "../env.ts";
import { failureIn, isFailure } from "./machine-failure.ts";
import { FROZEN_AFTER_MS, lookAt, ScriptWatch } from "./script-watch.ts";
import { passToMachine } from "./script-client.ts";

/** Where a call goes, and on whose behalf. `path` has the query. */
export type Destination = { user: string; name: string; slug: string; path: string };

/**
 * One client's call to a machine's own endpoint, passed on as it is and answered whatever becomes of the script.
 *
 * How a call can fail here, and what its caller is told. The paths below the script are in machine-template/README.md.
 *
 * - The dispatch Worker or the script answers with one of our errors: the same error, as JSON-RPC with the request's id.
 * - The connection to the dispatch Worker breaks before an answer: `link_lost`, since the call may have been carried out.
 * - The script has stopped and answers nothing: `machine_timeout` after `FROZEN_AFTER_MS`.
 * - The answer is an event stream and breaks off: its last event is `link_lost` with the request's id.
 * - Any other answer breaks off: its body breaks off too, which HTTP clients notice. It never ends as if it were whole.
 *
 * @param body the request's body if it was read, which is where ids come from; `null` when it is streamed.
 */
export async function relay(
  request: Request,
  env: Env,
  { user, name, slug, path }: Destination,
  body: Uint8Array | null,
): Promise<Response> {
  const { promise: frozen, resolve } = Promise.withResolvers<"frozen">();
  const watch = new ScriptWatch(lookAt(env, user, name), () => resolve("frozen"));
  try {
    // Nobody awaits the call that lost the race: it ends with this request.
    const answer = await Promise.race([passToMachine(request, env, user, slug, path, body), frozen]);
    if (answer === "frozen") {
      await env.USER.getByName(user).doubt(name);
      return failureResponse({ code: "machine_timeout", machine: name, afterMs: FROZEN_AFTER_MS }, body);
    }
    if (isFailure(answer)) {
      const error = await failureIn(answer, name);
      // By the slug that was asked for: that a machine is somebody else's and that there is none must read the same.
      return failureResponse(error.code === "machine_unknown" ? { ...error, machine: slug } : error, body);
    }
    return withClosingWord(answer, request.method, body, { code: "link_lost", machine: name });
  } catch (reason) {
    if (request.signal.aborted) throw reason; // the client has gone: nobody is there to be told
    console.error("the connection to a machine's script was lost", { machine: slug, reason: String(reason) });
    return failureResponse({ code: "link_lost", machine: name }, body);
  } finally {
    watch.end();
  }
}

/** A POST's event stream that says why if it breaks off. Any other answer is left to the runtime, which passes it faster. */
function withClosingWord(answer: Response, method: string, body: Uint8Array | null, error: OperatorError): Response {
  if (answer.body === null || !answer.headers.get("content-type")?.startsWith("text/event-stream")) return answer;
  const word = closingWord(error, method, body);
  if (word === null) return answer;
  const reader = answer.body.getReader();
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (done) controller.close();
          else controller.enqueue(value);
        } catch {
          // The script or its connection is gone, which the word says to the one who waits.
          controller.enqueue(word);
          controller.close();
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return new Response(stream, answer);
}
