import { ERROR_HEADER } from "#protocol/error.ts";
import type { Caller } from "../http/caller.ts";
import { type Asked, askedIn, askedInHeaders, digestOf, KEEP_BYTES } from "./asked.ts";
import { type AuditBindings, noteCall } from "./note.ts";

/** Bodies up to this size are read on their way, so that the log can name what they ask for; larger ones, and those that do not tell their size, pass as they come. Bytes. */
const READ_BYTES = 256 * 1024;

/**
 * The bytes of a request, read so that they can be looked into afterwards. `null`: it has none, or too many to be held, and
 * its body is to be streamed.
 */
export async function heldBody(request: Request): Promise<Uint8Array | null> {
  if (request.method !== "POST") return null;
  const length = Number(request.headers.get("content-length") ?? Number.NaN);
  return length <= READ_BYTES ? new Uint8Array(await request.arrayBuffer()) : null;
}

/**
 * Notes a request to a machine's own endpoint in its user's audit log: every one that passes, whether it was read or not.
 * Its outcome is known when the machine's answer begins; what a tool made of it is in the body, which is the client's.
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
