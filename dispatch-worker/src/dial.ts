import { errorResponse } from "#protocol/error.ts";
import { isUnknown } from "./script-failure.ts";

/**
 * A refused dial is answered no sooner than this. Otherwise the response time would reveal whether a machine exists: comparing
 * a token in its script takes longer than learning from the platform that there is no script. The delay is well above both,
 * and only refused dials wait.
 */
const REFUSAL_MS = 250;

/** Seconds after which a connector should dial again when its script cannot be reached. */
const RETRY_AFTER_S = 1;

/** The form of a header with a link token. A request without one is refused before any script is asked. */
const BEARER = /^Bearer [\w.~+/=-]{1,512}$/i;

/**
 * Forwards what a machine itself asks (the WebSocket upgrade of its connector, or a GET of its own status) to its script, which
 * checks the link token.
 *
 * `401` is final: the connector stops dialling. So only an unknown machine and a wrong token may lead to it. A stranger cannot
 * tell these two apart, because both give the same bytes after the same time.
 *
 * A script that throws, is starting or is being replaced says nothing about the token. The answer is then `503`, and the
 * connector dials again. While the script is in that state, the `503` does reveal to a stranger that a machine of this name
 * exists. The alternative, a machine that stops dialling permanently because of a passing fault, would be worse.
 */
export async function dial(script: Fetcher, request: Request, machine: string): Promise<Response> {
  // No machine was looked up yet, so this refusal reveals nothing and needs no delay.
  if (
    (request.headers.get("upgrade")?.toLowerCase() !== "websocket" && request.method !== "GET") ||
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
