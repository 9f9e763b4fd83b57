import { parseJson } from "#protocol/json.ts";
import type { Env } from "../env.ts";
import type { Refusal } from "../http/refusal.ts";
import { admit } from "./admission.ts";

/** What a JSON array begins with, and what may be in front of it (RFC 8259 section 2, and a byte order mark). */
const OPENING = 0x5b;
const BEFORE: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d, 0xef, 0xbb, 0xbf]);

/**
 * Whether a body is a JSON-RPC batch, which only revision 2025-03-26 of MCP has; `null` if these bytes do not tell.
 * @param bytes the body, or its beginning
 */
export function isBatch(bytes: Uint8Array): boolean | null {
  const first = bytes.find((byte) => !BEFORE.has(byte));
  return first === undefined ? null : first === OPENING;
}

const COMMA = 0x2c;

/**
 * How many messages a body has. A machine's server may read what is no JSON here, such as `NaN` or a comma before the closing bracket. Of such a batch
 * the commas are counted, of which there are at least as many as messages after the first.
 */
export function messagesIn(bytes: Uint8Array): number {
  if (isBatch(bytes) !== true) return 1;
  const value = parseJson(new TextDecoder().decode(bytes));
  return Array.isArray(value) ? Math.max(1, value.length) : 1 + bytes.filter((byte) => byte === COMMA).length;
}

/**
 * Counts the messages of a batch as so many requests: otherwise a token would have a hundred times its budget and its rate. The first one
 * was counted when the request was let in. `null` if all of them may pass.
 */
export async function admitBatch(request: Request, env: Env, url: URL, messages: number): Promise<Refusal | null> {
  for (let counted = 1; counted < messages; counted += 1) {
    const again = await admit(request, env, url);
    if ("refused" in again) return again;
  }
  return null;
}
