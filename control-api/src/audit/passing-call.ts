import { ERROR_HEADER } from "#protocol/error.ts";
import type { Caller } from "../http/caller.ts";
import type { NoBody } from "../http/held-bodies.ts";
import { type HeldCall, largeCalls } from "../http/large-calls.ts";
import { type Asked, askedIn, askedInHeaders, digestOf, KEEP_BYTES } from "./asked.ts";
import { type AuditBindings, noteCall } from "./note.ts";

/**
 * Bodies up to this size are read before they are passed on, so that the log can name what they ask for. Larger ones, and
 * those without a Content-Length, are streamed unread. Bytes.
 */
const READ_BYTES = 256 * 1024;

/**
 * A request's body, so that it can be examined afterwards. `null`: there is no body, or it is too large to hold and has to be streamed.
 */
export async function heldBody(request: Request, caller: Caller): Promise<HeldCall | NoBody | null> {
  if (request.method !== "POST") return null;
  const length = Number(request.headers.get("content-length") ?? Number.NaN);
  return length <= READ_BYTES ? largeCalls.read(request, READ_BYTES, caller) : null;
}

/**
 * Records a request to a machine's own endpoint in the user's audit log: every request that passes, whether its body was read
 * or not. The outcome is the HTTP status with which the machine's answer begins. Whether a tool reported an error is in the
 * answer's body, which is streamed to the client unread.
 */
export function notePassing(
  env: AuditBindings,
  caller: Caller,
  machine: string,
  request: Request,
  body: Uint8Array | null,
  response: Promise<Response>,
): void {
  const read = readLater(request, body);
  noteCall(env, caller.user, response, outcomeOf, () => ({ client: caller.client, machine, ...read() }));
}

function outcomeOf({ headers, ok, status }: Response): string {
  return headers.get(ERROR_HEADER) ?? (ok ? "ok" : `http_${status}`);
}

function readLater({ method, headers }: Request, body: Uint8Array | null): () => Asked & { digest: string | null } {
  if (method !== "POST") return () => ({ kind: "request", subject: method, digest: null });
  if (body === null) {
    const asked = { ...askedInHeaders(headers), digest: null };
    return () => asked;
  }
  const read = () => ({ ...askedIn(body), digest: digestOf(body) });
  if (body.length <= KEEP_BYTES) return read;
  const asked = read();
  return () => asked;
}
