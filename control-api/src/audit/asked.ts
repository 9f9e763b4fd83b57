import { createHash } from "node:crypto";
import type { AuditKind } from "./entry.ts";

/** What a request asks a machine to do, for the audit log. */
export type Asked = { readonly kind: AuditKind; readonly subject: string | null };

/**
 * A body up to this size is kept and examined after the response, when its entry is written. A larger one is examined
 * immediately. Bytes.
 */
export const KEEP_BYTES = 16 * 1024;

/** Messages of a batch that are listed by name. The others are only counted. */
const NAMED = 5;

/** The tool with which a client answers a permission request (#protocol/coding-tools.ts). */
export const ANSWERS_PERMISSION = "respond_permission";

const CALL_TOOL = "call_tool";

/** A request whose body was not read, or is not JSON: it may be a tool call, so it is recorded as one. */
const UNREAD: Asked = { kind: "call", subject: null };

/**
 * What a JSON-RPC body asks for. The body is parsed and never searched as text, because `tools\/call` is the same method as
 * `tools/call`. Nothing here recurses, because the caller chooses how deeply the body is nested.
 */
export function askedIn(body: Uint8Array): Asked {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(body));
  } catch {
    return UNREAD; // left to the machine's server, which reports what is wrong and may accept more than we do
  }
  if (!Array.isArray(value)) return askedBy(value);
  const all: Asked[] = value.map(askedBy);
  const kinds = new Set(all.map(({ kind }) => kind));
  const kind = kinds.has("permission") ? "permission" : kinds.has("call") ? "call" : "request";
  const names = all.slice(0, NAMED).map(({ subject }) => (subject ?? "?").slice(0, 32));
  return { kind, subject: `batch of ${all.length}: ${names.join(", ")}` };
}

/**
 * The same, read from the headers of 2026-07-28 clients (Streamable HTTP, "Standard headers"). The machine's server checks
 * them against the body.
 */
export function askedInHeaders(headers: Headers): Asked {
  const method = headers.get("mcp-method");
  if (method === null) return UNREAD;
  return method === "tools/call" ? ofTool(headers.get("mcp-name")) : { kind: "request", subject: method };
}

/** A call of this tool on a machine. */
function ofTool(name: string | null): Asked {
  return { kind: name === ANSWERS_PERMISSION ? "permission" : "call", subject: name };
}

/** A call of a tool of the unified endpoint. `call_tool` can reach the same tools. */
export function ofUnifiedTool(name: string, args: Readonly<Record<string, unknown>>): Asked {
  const inner = args["name"];
  if (name !== CALL_TOOL || typeof inner !== "string") return ofTool(name);
  return { kind: ofTool(inner).kind, subject: name };
}

/**
 * SHA-256 (hex) of a body's bytes as received. Uses Node's synchronous hash, because a promise per call would cost more than
 * the hash.
 */
export function digestOf(body: Uint8Array | string): string {
  return createHash("sha256").update(body).digest("hex");
}

/** The same, computed on first use. The digest of a large body is computed immediately, so that the body need not be kept. */
export function digestLater(body: string): () => string {
  if (body.length <= KEEP_BYTES) return () => digestOf(body);
  const digest = digestOf(body);
  return () => digest;
}

function askedBy(message: unknown): Asked {
  if (typeof message !== "object" || message === null) return UNREAD;
  const { method, params } = message as { method?: unknown; params?: unknown };
  // The client answers a request from the machine's server: sampling, elicitation.
  if (typeof method !== "string") return { kind: "request", subject: "response" };
  if (method !== "tools/call") return { kind: "request", subject: method };
  const name = typeof params === "object" && params !== null ? (params as { name?: unknown }).name : null;
  return ofTool(typeof name === "string" ? name : null);
}
