import type { HeaderList } from "#protocol/header.ts";
import { parseJson } from "#protocol/json.ts";
import { membersOf } from "./json-span.ts";
import { keyOf, RpcMessage } from "./rpc-message.ts";

/** `_meta` key with which a 2026-07-28 request names its revision. */
const VERSION_KEY = "io.modelcontextprotocol/protocolVersion";

/** What a POST brought: its JSON-RPC messages (more than one in a 2025-03-26 batch), still as bytes. */
export type PostBody = {
  readonly bytes: Uint8Array;
  readonly messages: readonly RpcMessage[];
  readonly isBatch: boolean;
  /** Whether it is spoken in 2026-07-28 or later: each request says so itself. */
  readonly isModern: boolean;
};

/** The body as messages, or `null` when it is no JSON-RPC. */
export function readPost(bytes: Uint8Array, headers: HeaderList): PostBody | null {
  const value = parseJson(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
  if (value === undefined) return null; // a child is never given a line that is not JSON
  const isBatch = Array.isArray(value);
  const messages = isBatch ? elementsOf(value) : [RpcMessage.read(bytes)];
  const read = messages.filter((message) => message !== null);
  if (read.length === 0 || read.length !== messages.length) return null;
  const [first] = read;
  const claims = first?.at("params", "_meta", VERSION_KEY) !== null;
  const isNotification = first?.id === null;
  return { bytes, messages: read, isBatch, isModern: claims || (isNotification && isModernVersion(headers)) };
}

/** Ids of the requests among the messages, by key. */
export function requestIds(messages: readonly RpcMessage[]): Map<string, string> {
  const ids = new Map<string, string>();
  for (const message of messages) {
    const { id } = message;
    if (message.isRequest && id !== null) ids.set(keyOf(id), id);
  }
  return ids;
}

export function headerOf(headers: HeaderList, name: string): string | null {
  return headers.find(([key]) => key === name)?.[1] ?? null;
}

/** Batches are of an era with no byte to lose: their elements are only looked at, never passed on one by one. */
function elementsOf(value: unknown): (RpcMessage | null)[] {
  return Array.isArray(value) ? value.map((one) => RpcMessage.read(Buffer.from(JSON.stringify(one) ?? ""))) : [];
}

/** Revisions are dates; from this one on there is no handshake and no session. */
function isModernVersion(headers: HeaderList): boolean {
  return (headerOf(headers, "mcp-protocol-version") ?? "") >= "2026-07-28";
}

/** Whether a line of a child is an array of messages, which only a batch is answered with. */
export function isArray(text: string): boolean {
  return text.trimStart().startsWith("[") && membersOf(text) === null;
}
