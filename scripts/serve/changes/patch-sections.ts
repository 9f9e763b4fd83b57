const HEADER = Buffer.from("diff --git ");
const NEW_LINE = 0x0a;

/** A file's part of a patch, as far as it is kept. */
export interface PatchSection {
  readonly text: string;
  /** Bytes of it that were not kept. */
  readonly cutBytes: number;
}

/**
 * Splits a patch into its sections, one for each file, while it comes. A line of content begins with a space, a sign or a backslash, so
 * no content can begin a section.
 *
 * @param keep how many bytes to keep of each section, by its number
 * @returns the sections, and whether the patch was read to its end: it stops after `maxBytes`, or when the output breaks off
 */
export async function patchSections(
  output: AsyncIterable<Buffer>,
  keep: (section: number) => number,
  maxBytes: number,
): Promise<{ sections: PatchSection[]; isWhole: boolean }> {
  const sections: { pieces: Buffer[]; kept: number; cutBytes: number }[] = [];
  let rest: Buffer = Buffer.alloc(0);
  let read = 0;
  let isLineStart = true;
  const put = (piece: Buffer): void => {
    const last = sections.at(-1);
    if (last === undefined) return;
    const room = Math.max(0, keep(sections.length - 1) - last.kept);
    // Copied: a slice would keep the whole buffer that it is of in memory.
    if (room > 0 && piece.length > 0) last.pieces.push(Buffer.from(piece.subarray(0, room)));
    last.kept += Math.min(room, piece.length);
    last.cutBytes += Math.max(0, piece.length - room);
  };
  const take = (line: Buffer, isWholeLine: boolean): void => {
    if (isLineStart && line.subarray(0, HEADER.length).equals(HEADER))
      sections.push({ pieces: [], kept: 0, cutBytes: 0 });
    put(line);
    isLineStart = isWholeLine;
  };
  let isWhole = true;
  for await (const piece of output) {
    read += piece.length;
    const buffer: Buffer = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    let from = 0;
    for (let end = buffer.indexOf(NEW_LINE); end >= 0; end = buffer.indexOf(NEW_LINE, from)) {
      take(buffer.subarray(from, end + 1), true);
      from = end + 1;
    }
    rest = buffer.subarray(from);
    // A line that goes on: its beginning decides what it is, and nothing more of it has to be held.
    if (rest.length >= HEADER.length) {
      take(rest, false);
      rest = Buffer.alloc(0);
    }
    if (read > maxBytes) {
      isWhole = false;
      break;
    }
  }
  if (rest.length > 0) take(rest, true);
  return {
    sections: sections.map(({ pieces, cutBytes }) => ({ text: textOf(Buffer.concat(pieces)), cutBytes })),
    isWhole,
  };
}

/** The bytes as text, without a character that was cut in two at the end. */
function textOf(bytes: Buffer): string {
  return new TextDecoder().decode(bytes, { stream: true });
}
