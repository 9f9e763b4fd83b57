import { createHash } from "node:crypto";
import type { AuditKind } from "./entry.ts";

/** What a request asks of a machine, for its audit entry. */
export type Asked = { readonly kind: AuditKind; readonly subject: string | null };

/** A body up to this size is kept until its entry is written, after the response; a larger one is looked into at once. Bytes. */
export const KEEP_BYTES = 16 * 1024;

/** Messages of a batch that are named; the rest is counted. */
const NAMED = 5;

/** The tool with which a client answers a permission request (#protocol/coding-tools.ts). */
const ANSWERS_PERMISSION = "respond_permission";

const CALL_TOOL = "call_tool";

/** A request whose body was not read, or is not JSON: it may be a tool call, so it is recorded as one. */
const UNREAD: Asked = { kind: "call", subject: null };

/**
 * What a JSON-RPC body asks for. It is parsed, never searched: `tools\/call` is the same method as `tools/call`. Nothing
 * here recurses, because a caller chooses how deep the body is nested.
 */
export function askedIn(body: Uint8Array): Asked {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(body));
  } catch {
    return UNREAD; // the machine's server says what is wrong with it, and may be more lenient than we are
  }
  if (!Array.isArray(value)) return askedBy(value);
  const all: Asked[] = value.map(askedBy);
  const kinds = new Set(all.map(({ kind }) => kind));
  const kind = kinds.has("permission") ? "permission" : kinds.has("call") ? "call" : "request";
  const names = all.slice(0, NAMED).map(({ subject }) => (subject ?? "?").slice(0, 32));
  return { kind, subject: `batch of ${all.length}: ${names.join(", ")}` };
}

/** What the headers say that clients of 2026-07-28 send along (Streamable HTTP, "Standard headers"); the machine's server checks that they are true. */
export function askedInHeaders(headers: Headers): Asked {
  const method = headers.get("mcp-method");
  if (method === null) return UNREAD;
  return method === "tools/call" ? ofTool(headers.get("mcp-name")) : { kind: "request", subject: method };
}

/** A call of this tool of a machine's. */
function ofTool(name: string | null): Asked {
  return { kind: name === ANSWERS_PERMISSION ? "permission" : "call", subject: name };
}

/** A call of a tool of the unified endpoint. `call_tool` can reach the same tools. */
export function ofUnifiedTool(name: string, args: Readonly<Record<string, unknown>>): Asked {
  const inner = args["name"];
  if (name !== CALL_TOOL || typeof inner !== "string") return ofTool(name);
  return { kind: ofTool(inner).kind, subject: name };
}

/** SHA-256, hex, of a body as it came in. Node's synchronous hash: a promise for each would cost more than the hash. */
export function digestOf(body: Uint8Array | string): string {
  return createHash("sha256").update(body).digest("hex");
}

/** The same, made when it is first needed if the body is small enough to be kept so long, and at once if it is not. */
export function digestLater(body: string): () => string {
  if (body.length <= KEEP_BYTES) return () => digestOf(body);
  const digest = digestOf(body);
  return () => digest;
}

function askedBy(message: unknown): Asked {
  if (typeof message !== "object" || message === null) return UNREAD;
  const { method, params } = message as { method?: unknown; params?: unknown };
  // A client answers a request that the machine's server made of it: sampling, elicitation.
  if (typeof method !== "string") return { kind: "request", subject: "response" };
  if (method !== "tools/call") return { kind: "request", subject: method };
  const name = typeof params === "object" && params !== null ? (params as { name?: unknown }).name : null;
  return ofTool(typeof name === "string" ? name : null);
}
