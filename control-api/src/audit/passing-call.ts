import { ERROR_HEADER } from "#protocol/error.ts";
import type { Caller } from "../caller.ts";
import type { Env } from "../env.ts";
import { note } from "./note.ts";

/** Calls up to this size are looked into on their way; larger ones pass as they come, and only their headers are read. Bytes. */
const READ_BYTES = 256 * 1024;

/** A name that is none need not be kept whole. */
const MAX_NAME = 128;

/** A tool call on its way to a machine's own endpoint. */
export type PassingCall = { readonly tool: string | null; readonly args: unknown };

/**
 * The tool call in a request, if it is one, and a request with the same bytes to be sent on. Clients of 2026-07-28 name it in headers; of others the body tells. `null`: it is
 * something else, or too large to be looked into and without a word of what it is.
 */
export async function passingCall(request: Request): Promise<{ request: Request; call: PassingCall | null }> {
  if (request.method !== "POST") return { request, call: null };
  const length = Number(request.headers.get("content-length") ?? Number.NaN);
  if (!(length <= READ_BYTES)) {
    const isCall = request.headers.get("mcp-method") === "tools/call";
    return { request, call: isCall ? { tool: request.headers.get("mcp-name"), args: undefined } : null };
  }
  const bytes = await request.arrayBuffer();
  const { method, headers, signal, url } = request;
  // As the client's own request is: a redirect is the client's to follow.
  const same = new Request(url, { method, headers, body: bytes, signal, redirect: "manual" });
  return { request: same, call: callIn(new TextDecoder().decode(bytes)) };
}

/** Notes a call in its user's audit log, once the machine's answer began. What a tool made of it is in the body, which is the client's. */
export function noteCall(
  env: Env,
  caller: Caller,
  machine: string,
  call: PassingCall,
  response: Response,
  beganMs: number,
) {
  const outcome = response.headers.get(ERROR_HEADER) ?? (response.ok ? "ok" : `http_${response.status}`);
  const subject = call.tool?.slice(0, MAX_NAME) ?? null;
  const durationMs = Date.now() - beganMs;
  note(env, caller.user, {
    kind: "call",
    client: caller.client,
    machine,
    subject,
    args: call.args,
    outcome,
    durationMs,
  });
}

function callIn(text: string): PassingCall | null {
  if (!text.includes('"tools/call"')) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null; // no JSON, so no call; the machine's server says what is wrong with it
  }
  const message = value as { method?: unknown; params?: { name?: unknown; arguments?: unknown } } | null;
  if (message?.method !== "tools/call") return null;
  const tool = message.params?.name;
  return { tool: typeof tool === "string" ? tool : null, args: message.params?.arguments };
}
