import { isRecord, parseJson } from "./json.ts";
import { MAX_FRAME_BYTES, MAX_HEAD_BYTES } from "./limits.ts";
import type { HeaderList } from "./header.ts";

/**
 * Exchange frames: binary WebSocket messages. They are encoded and decoded by hand, because every byte of every call passes
 * through here.
 *
 *   byte 0     kind
 *   byte 1     flags (1 = END: the body is complete with this frame)
 *   bytes 2-5  exchange, unsigned, big endian
 *   then       REQUEST, RESPONSE: length of the head (4 bytes), the head as JSON, the first part of the body
 *              BODY: bytes of the body      WINDOW: credit in bytes (4 bytes)      CANCEL: a reason in UTF-8
 */
export const FrameKind = { REQUEST: 1, RESPONSE: 2, BODY: 3, CANCEL: 4, WINDOW: 5 } as const;

const END = 1;
const HEADER_BYTES = 6;
const LENGTH_BYTES = 4;

/** The head of a request. `path` is relative to what the connector exposes, and begins with `/`. */
export type RequestHead = { method: string; path: string; headers: HeaderList };
/**
 * The head of an answer. `length`: bytes of its whole body, where that is known from the start. It is what lets the caller see that a
 * body was cut: workerd ends a body of unknown length as if it were complete, whatever became of its source.
 */
export type ResponseHead = { status: number; headers: HeaderList; length?: number };

export type Frame =
  /** Script to connector: open an exchange. */
  | { kind: typeof FrameKind.REQUEST; exchange: number; end: boolean; head: RequestHead; body: Uint8Array }
  /** Connector to script: the head of the answer, and the part of its body that was available at that moment. */
  | { kind: typeof FrameKind.RESPONSE; exchange: number; end: boolean; head: ResponseHead; body: Uint8Array }
  /** Either direction: the next part of a body. */
  | { kind: typeof FrameKind.BODY; exchange: number; end: boolean; body: Uint8Array }
  /** Either direction: this exchange is over; the sender will ignore anything more of it. */
  | { kind: typeof FrameKind.CANCEL; exchange: number; reason: string }
  /** Either direction: the receiver may send this many more bytes of body. */
  | { kind: typeof FrameKind.WINDOW; exchange: number; credit: number };

/** The head is larger than the peer accepts: see `MAX_HEAD_BYTES`. */
export class HeadTooLarge extends RangeError {
  override readonly name = "HeadTooLarge";

  constructor(bytes: number) {
    super(`the path and headers are ${bytes} bytes long; the limit is ${MAX_HEAD_BYTES}`);
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const EMPTY = new Uint8Array(0);

/** Throws `HeadTooLarge`. */
export function encodeFrame(frame: Frame): Uint8Array {
  switch (frame.kind) {
    case FrameKind.REQUEST:
    case FrameKind.RESPONSE: {
      const head = encoder.encode(JSON.stringify(frame.head));
      if (head.length > MAX_HEAD_BYTES) throw new HeadTooLarge(head.length);
      const bytes = allocate(frame, LENGTH_BYTES + head.length + frame.body.length, frame.end);
      viewOf(bytes).setUint32(HEADER_BYTES, head.length);
      bytes.set(head, HEADER_BYTES + LENGTH_BYTES);
      bytes.set(frame.body, HEADER_BYTES + LENGTH_BYTES + head.length);
      return bytes;
    }
    case FrameKind.BODY: {
      const bytes = allocate(frame, frame.body.length, frame.end);
      bytes.set(frame.body, HEADER_BYTES);
      return bytes;
    }
    case FrameKind.CANCEL: {
      const reason = encoder.encode(frame.reason);
      const bytes = allocate(frame, reason.length, false);
      bytes.set(reason, HEADER_BYTES);
      return bytes;
    }
    case FrameKind.WINDOW: {
      const bytes = allocate(frame, LENGTH_BYTES, false);
      viewOf(bytes).setUint32(HEADER_BYTES, frame.credit);
      return bytes;
    }
  }
}

/** Decodes `bytes`; `null` when they are not a valid frame. The frame's body is a view of `bytes`, not a copy. */
export function decodeFrame(bytes: Uint8Array): Frame | null {
  if (bytes.length < HEADER_BYTES || bytes.length > MAX_FRAME_BYTES) return null;
  const kind = bytes[0];
  const flags = bytes[1];
  const exchange = viewOf(bytes).getUint32(2);
  const rest = bytes.subarray(HEADER_BYTES);
  if (flags !== 0 && flags !== END) return null;
  const end = flags === END;
  switch (kind) {
    case FrameKind.REQUEST: {
      const opening = decodeOpening(rest, isRequestHead);
      return opening && { kind, exchange, end, ...opening };
    }
    case FrameKind.RESPONSE: {
      const opening = decodeOpening(rest, isResponseHead);
      return opening && { kind, exchange, end, ...opening };
    }
    case FrameKind.BODY:
      return { kind, exchange, end, body: rest };
    case FrameKind.CANCEL: {
      const reason = decodeText(rest);
      return reason === null ? null : { kind, exchange, reason };
    }
    case FrameKind.WINDOW:
      return rest.length === LENGTH_BYTES ? { kind, exchange, credit: viewOf(rest).getUint32(0) } : null;
    default:
      return null;
  }
}

function allocate(frame: Frame, bytes: number, end: boolean): Uint8Array {
  const message = new Uint8Array(HEADER_BYTES + bytes);
  message[0] = frame.kind;
  message[1] = end ? END : 0;
  viewOf(message).setUint32(2, frame.exchange);
  return message;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function decodeOpening<Head>(
  bytes: Uint8Array,
  isHead: (value: unknown) => value is Head,
): { head: Head; body: Uint8Array } | null {
  if (bytes.length < LENGTH_BYTES) return null;
  const length = viewOf(bytes).getUint32(0);
  if (length > MAX_HEAD_BYTES || length > bytes.length - LENGTH_BYTES) return null;
  const text = decodeText(bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + length));
  const head = text === null ? undefined : parseJson(text);
  if (!isHead(head)) return null; // not JSON, or not a head: the caller closes the link
  const body = bytes.subarray(LENGTH_BYTES + length);
  return { head, body: body.length === 0 ? EMPTY : body };
}

function decodeText(bytes: Uint8Array): string | null {
  try {
    return decoder.decode(bytes);
  } catch {
    return null; // not UTF-8, so not a frame: the caller closes the link
  }
}

function isRequestHead(value: unknown): value is RequestHead {
  return (
    isRecord(value) &&
    typeof value["method"] === "string" &&
    typeof value["path"] === "string" &&
    isHeaderList(value["headers"])
  );
}

function isResponseHead(value: unknown): value is ResponseHead {
  return isRecord(value) && isStatus(value["status"]) && isHeaderList(value["headers"]) && isLength(value["length"]);
}

/** A final status. Informational (1xx) responses never cross the link. */
function isStatus(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 200 && value <= 599;
}

function isLength(value: unknown): boolean {
  return value === undefined || (Number.isSafeInteger(value) && Number(value) >= 0);
}

function isHeaderList(value: unknown): value is HeaderList {
  return (
    Array.isArray(value) &&
    value.every(
      (entry) => Array.isArray(entry) && entry.length === 2 && entry.every((part) => typeof part === "string"),
    )
  );
}
