import type { HeaderList } from "#protocol/header.ts";
import { parseJson } from "#protocol/json.ts";
import { membersOf } from "./json-span.ts";
import { keyOf, RpcMessage } from "./rpc-message.ts";

/** `_meta` key with which a 2026-07-28 request names its revision. */
const VERSION_KEY = "io.modelcontextprotocol/protocolVersion";

/** The body of a POST: its JSON-RPC messages (several in a batch of 2025-03-26), still as bytes. */
export type PostBody = {
  readonly bytes: Uint8Array;
  readonly messages: readonly RpcMessage[];
  readonly isBatch: boolean;
  /** Whether it is of revision 2026-07-28 or later, which each request says itself. */
  readonly isModern: boolean;
};

/** Parses the body into messages; `null` when it is not JSON-RPC. */
export function readPost(bytes: Uint8Array, headers: HeaderList): PostBody | null {
  const value = parseJson(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
  if (value === undefined) return null; // a child must never get a line that is not JSON
  const isBatch = Array.isArray(value);
  const messages = isBatch ? elementsOf(value) : [RpcMessage.read(bytes)];
  const read = messages.filter((message) => message !== null);
  if (read.length === 0 || read.length !== messages.length) return null;
  // A child that takes the other of two ids would answer under an id that is another client's.
  if (read.some(({ hasTwoIds }) => hasTwoIds)) return null;
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

/** The messages of a batch. They are only inspected; the batch itself is passed on unchanged. */
function elementsOf(value: unknown): (RpcMessage | null)[] {
  return Array.isArray(value) ? value.map((one) => RpcMessage.read(Buffer.from(JSON.stringify(one) ?? ""))) : [];
}

/** Whether a revision has neither a handshake nor sessions. Revisions are dates, so they can be compared as text. */
function isModernVersion(headers: HeaderList): boolean {
  return (headerOf(headers, "mcp-protocol-version") ?? "") >= "2026-07-28";
}

/** Whether a child's line is an array of messages, which only occurs as the answer to a batch. */
export function isArray(text: string): boolean {
  return text.trimStart().startsWith("[") && membersOf(text, 0, new Set()) === null;
}
