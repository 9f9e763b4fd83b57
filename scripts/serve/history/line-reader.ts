import type { FileHandle } from "node:fs/promises";

/** Lines with an image reach a few megabytes. Larger ones are not worth the memory. */
export const MAX_LINE_BYTES = 16 * 1024 * 1024;

/** Size of one read: large enough to be fast, small enough that other work gets its turn in between. */
const CHUNK_BYTES = 1024 * 1024;

/** Reading backwards is for one page from the end of a file, so its reads are smaller. */
const BACKWARD_CHUNK_BYTES = 128 * 1024;

const NEWLINE = 0x0a;

export interface RawLine {
  readonly offset: number;
  /** Length of the line without its newline. */
  readonly bytes: number;
  /** `null` for a line that exceeds `MAX_LINE_BYTES`. */
  readonly text: string | null;
}

/**
 * The complete lines of a file from an offset on, in one batch per read. An incomplete last line is left for the next time, because
 * Claude Code may still be writing it. `end` is the offset to continue from.
 */
export async function* readLines(
  file: FileHandle,
  offset: number,
): AsyncGenerator<{ lines: RawLine[]; end: number }, void> {
  // One buffer for all reads. A new buffer for each would produce a gigabyte of garbage during the first indexing.
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let start = offset;
  let position = offset;
  for (;;) {
    const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    const read = chunk.subarray(0, bytesRead);
    const lines: RawLine[] = [];
    let from = 0;
    for (;;) {
      const at = read.indexOf(NEWLINE, from);
      if (at === -1) break;
      const bytes = pendingBytes + at - from;
      const piece = read.subarray(from, at);
      if (bytes > 0) lines.push(rawLine(start, bytes, pending.length === 0 ? [piece] : [...pending, piece]));
      start += bytes + 1;
      from = at + 1;
      pending = [];
      pendingBytes = 0;
    }
    pendingBytes += bytesRead - from;
    // Only the length of a line that is too large is kept.
    if (pendingBytes <= MAX_LINE_BYTES) pending.push(Buffer.from(read.subarray(from)));
    else pending = [];
    yield { lines, end: start };
  }
}

/** The complete lines before an offset, last one first. Reads backwards, so that the end of a long file is read quickly. */
export async function* readLinesBackward(file: FileHandle, before: number): AsyncGenerator<RawLine, void> {
  /** The start of a line whose end was read already; its pieces, last one first. */
  let tail: Buffer[] = [];
  let tailBytes = 0;
  let position = before;
  let isFirstChunk = true;
  while (position > 0) {
    const size = Math.min(BACKWARD_CHUNK_BYTES, position);
    const chunk = Buffer.allocUnsafe(size);
    const { bytesRead } = await file.read(chunk, 0, size, position - size);
    if (bytesRead < size) return;
    position -= size;
    let to = size;
    for (;;) {
      const at = to === 0 ? -1 : chunk.lastIndexOf(NEWLINE, to - 1);
      if (at === -1) break;
      const bytes = to - at - 1 + tailBytes;
      // The text after the last newline is a line that is still being written.
      if (bytes > 0 && !isFirstChunk) yield rawLine(position + at + 1, bytes, [chunk.subarray(at + 1, to), ...tail]);
      isFirstChunk = false;
      tail = [];
      tailBytes = 0;
      to = at;
    }
    tailBytes += to;
    if (tailBytes <= MAX_LINE_BYTES) tail.unshift(chunk.subarray(0, to));
    else tail = [];
  }
  if (tailBytes > 0 && !isFirstChunk) yield rawLine(0, tailBytes, tail);
}

function rawLine(offset: number, bytes: number, pieces: readonly Buffer[]): RawLine {
  if (bytes > MAX_LINE_BYTES) return { offset, bytes, text: null };
  const whole = pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
  return { offset, bytes, text: whole?.toString("utf8") ?? "" };
}
