import { ERROR_HEADER } from "#protocol/error.ts";
import { parseJson } from "#protocol/json.ts";
import type { Caller } from "../http/caller.ts";
import type { Env } from "../env.ts";
import { noteLater } from "./note.ts";

/** Calls up to this size are looked into on their way; larger ones pass as they come, and only their headers are read. Bytes. */
const READ_BYTES = 256 * 1024;

/** A name that is none need not be kept whole. */
const MAX_NAME = 128;

/** What is known of a tool call on its way to a machine's own endpoint. */
export type PassingCall = { readonly tool: string | null; readonly args: unknown };

/**
 * The bytes of a request that may be a tool call, read so that they can be looked into afterwards. `null`: it is none, or
 * too large to be held, and its body is to be streamed.
 */
export async function heldBody(request: Request): Promise<Uint8Array | null> {
  if (request.method !== "POST") return null;
  const length = Number(request.headers.get("content-length") ?? Number.NaN);
  return length <= READ_BYTES ? new Uint8Array(await request.arrayBuffer()) : null;
}

/** Notes a call in its user's audit log, once the machine's answer began. What a tool made of it is in the body, which is the client's. */
export function notePassing(
  env: Env,
  caller: Caller,
  machine: string,
  request: Request,
  body: Uint8Array | null,
  response: Response,
  beganMs: number,
): void {
  if (request.method !== "POST") return;
  const outcome = response.headers.get(ERROR_HEADER) ?? (response.ok ? "ok" : `http_${response.status}`);
  const durationMs = Date.now() - beganMs;
  const named = body === null ? callInHeaders(request.headers) : null;
  noteLater(env, caller.user, beganMs, () => {
    const call = body === null ? named : callIn(new TextDecoder().decode(body));
    if (call === null) return null;
    const subject = call.tool?.slice(0, MAX_NAME) ?? null;
    return { kind: "call", client: caller.client, machine, subject, args: call.args, outcome, durationMs };
  });
}

/** Clients of 2026-07-28 say in headers what they call (Streamable HTTP, "Standard headers"). */
function callInHeaders(headers: Headers): PassingCall | null {
  return headers.get("mcp-method") === "tools/call" ? { tool: headers.get("mcp-name"), args: undefined } : null;
}

function callIn(text: string): PassingCall | null {
  if (!text.includes('"tools/call"')) return null;
  // What is not JSON is not a call; the machine's server says what is wrong with it.
  const message = parseJson(text) as { method?: unknown; params?: { name?: unknown; arguments?: unknown } } | null;
  if (message?.method !== "tools/call") return null;
  const tool = message.params?.name;
  return { tool: typeof tool === "string" ? tool : null, args: message.params?.arguments };
}
