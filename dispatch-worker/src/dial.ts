import { errorResponse } from "#protocol/error.ts";
import { isUnknown } from "./script-failure.ts";

/**
 * A refused dial is answered no sooner than this, so that the time does not tell a machine that exists (whose script
 * compares the token) from one that does not (where the platform says so). Well above both; only who is refused waits.
 */
const REFUSAL_MS = 250;

/** A machine whose script cannot be reached dials again after so many seconds. */
const RETRY_AFTER_S = 1;

/** What a link token looks like on its way. Without one nobody is asked. */
const BEARER = /^Bearer [\w.~+/=-]{1,512}$/i;

/**
 * A machine's own WebSocket upgrade, which its script authenticates.
 *
 * `401` is final to a connector: it stops dialling. So only two things may lead to it, an unknown machine and a wrong
 * token, and to a stranger those two are the same: the same bytes after the same time. A script that throws, is still
 * starting or is being replaced says nothing about the token. That is `503`, after which the connector dials again.
 * (To somebody without the token such a `503` does tell that there is a machine of this name, for as long as its script
 * is out of order. A machine that never comes back would be worse.)
 */
export async function dial(script: Fetcher, request: Request, machine: string): Promise<Response> {
  // The same for every machine, known or not, so that it need not take its time.
  if (
    request.headers.get("upgrade")?.toLowerCase() !== "websocket" ||
    !BEARER.test(request.headers.get("authorization") ?? "")
  )
    return refusal();
  const refusable = new Promise<void>((resolve) => setTimeout(resolve, REFUSAL_MS));
  try {
    const response = await script.fetch(request);
    if (response.status !== 401) return response;
  } catch (reason) {
    const message = reason instanceof Error ? reason.message : String(reason);
    if (!isUnknown(message)) {
      console.error("a machine script failed during a dial", { machine, message });
      return unavailable(machine);
    }
  }
  await refusable;
  return refusal();
}

function refusal(): Response {
  return errorResponse({ code: "unauthorized" });
}

function unavailable(machine: string): Response {
  const response = errorResponse({ code: "machine_starting", machine });
  response.headers.set("retry-after", String(RETRY_AFTER_S));
  return response;
}
