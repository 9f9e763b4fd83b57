import { openRegularFile } from "../../system/regular-file.ts";
import { ServeFailure } from "../error.ts";
import { showPart, wholeText } from "../session/clip.ts";
import { MAX_LINE_BYTES, readLinesBackward, type RawLine } from "./line-reader.ts";
import { readLine, type TranscriptMessage } from "./transcript-line.ts";

/** Characters in one page: well below clients' limits for a result, and more than a model usually wants to read at once. */
const MAX_PAGE_CHARS = 256 * 1024;

/** Lines that are read for one page. A long part of a file without messages ends the page instead of delaying the answer. */
const MAX_PAGE_LINES = 20_000;

/** Characters that a read by handle returns at a time. */
const MAX_REST_CHARS = 256 * 1024;

export interface TranscriptPage {
  /** Oldest first. */
  readonly messages: readonly Record<string, unknown>[];
  /** Cursor for older messages; `null` at the start of the session. */
  readonly cursor: string | null;
  readonly unreadableLines: number;
}

/** The newest messages before a cursor. Throws ServeFailure `cursor_invalid`. */
export async function readPage(path: string, cursor: string | null, limit: number): Promise<TranscriptPage> {
  const file = await openRegularFile(path);
  try {
    const end = cursor === null ? (await file.stat()).size : parseCursor(cursor);
    const messages: Record<string, unknown>[] = [];
    let unreadableLines = 0;
    let chars = 0;
    let looked = 0;
    let oldest = end;
    for await (const raw of readLinesBackward(file, end)) {
      const line = raw.text === null ? null : readLine(raw.text);
      const message = line?.content.kind === "message" ? tell(raw, line.content.message) : null;
      const size = message === null ? 0 : JSON.stringify(message).length;
      const isFull = messages.length >= limit || looked >= MAX_PAGE_LINES || chars + size > MAX_PAGE_CHARS;
      if (isFull && looked > 0) return { messages: messages.toReversed(), cursor: String(oldest), unreadableLines };
      looked += 1;
      oldest = raw.offset;
      chars += size;
      if (line === null) unreadableLines += 1;
      if (message !== null) messages.push(message);
    }
    return { messages: messages.toReversed(), cursor: null, unreadableLines };
  } finally {
    await file.close();
  }
}

/** The rest of a part that a page cut short. Throws ServeFailure `handle_unknown`. */
export async function readPart(path: string, handle: string, from: number): Promise<Record<string, unknown>> {
  const [, offset, index] = /^(\d{1,15})\.(\d{1,6})$/.exec(handle) ?? [];
  const line = offset === undefined ? null : await readLineAt(path, Number(offset));
  const content = line === null ? null : (readLine(line)?.content ?? null);
  const part = content?.kind === "message" ? content.message.parts[Number(index)] : undefined;
  if (part === undefined) throw new ServeFailure({ code: "handle_unknown", handle });
  if (part.type === "image") return { handle, media_type: part.mediaType, data: part.data };
  const whole = wholeText(part);
  const text = whole.slice(from, from + MAX_REST_CHARS);
  const next = from + text.length;
  return { handle, offset: from, text, total_chars: whole.length, next_offset: next < whole.length ? next : null };
}

/** The line that begins at an offset; `null` when no line does. */
export async function readLineAt(path: string, offset: number): Promise<string | null> {
  const file = await openRegularFile(path);
  try {
    const { size } = await file.stat();
    if (offset >= size) return null;
    const pieces: Buffer[] = [];
    for (let position = offset; position < Math.min(size, offset + MAX_LINE_BYTES);) {
      const chunk = Buffer.allocUnsafe(64 * 1024);
      const { bytesRead } = await file.read(chunk, 0, chunk.length, position);
      if (bytesRead === 0) break;
      const at = chunk.subarray(0, bytesRead).indexOf(0x0a);
      pieces.push(chunk.subarray(0, at === -1 ? bytesRead : at));
      if (at !== -1) break;
      position += bytesRead;
    }
    return Buffer.concat(pieces).toString("utf8");
  } finally {
    await file.close();
  }
}

function tell(raw: RawLine, message: TranscriptMessage): Record<string, unknown> | null {
  if (message.parts.length === 0) return null;
  const { id, role, atMs, model, isAside, parts } = message;
  const shown = parts.map((part, index) => showPart(part, `${raw.offset}.${index}`));
  return { message_id: id, role, at_ms: atMs, ...(model === null ? {} : { model }), aside: isAside, parts: shown };
}

function parseCursor(cursor: string): number {
  if (!/^\d{1,15}$/.test(cursor)) throw new ServeFailure({ code: "cursor_invalid", cursor });
  return Number(cursor);
}
