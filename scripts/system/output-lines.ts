import type { Readable } from "node:stream";
import { UnfinishedLine } from "./unfinished-line.ts";

const LINE_FEED = 0x0a;

/**
 * Calls `onLine` for each line that another program writes, with no more than the first `maxBytes` of it. Node's `readline` keeps a line of any
 * length, and also ends one at U+2028 and U+2029, which JSON may contain as they are.
 */
export function readOutputLines(
  stream: Readable,
  maxBytes: number,
  onLine: (line: string, isCut: boolean) => void,
): void {
  const unfinished = new UnfinishedLine();
  let isCut = false;
  const keep = (piece: Buffer): void => {
    const room = maxBytes - unfinished.length;
    isCut ||= piece.length > room;
    unfinished.add(piece.subarray(0, room));
  };
  const end = (): void => {
    const line = unfinished.take().toString("utf8").replace(/\r$/, "");
    const wasCut = isCut;
    isCut = false;
    onLine(line, wasCut);
  };
  stream.on("data", (chunk: Buffer) => {
    let from = 0;
    for (let at = chunk.indexOf(LINE_FEED); at !== -1; at = chunk.indexOf(LINE_FEED, from)) {
      keep(chunk.subarray(from, at));
      end();
      from = at + 1;
    }
    keep(chunk.subarray(from));
  });
  stream.on("end", () => {
    if (unfinished.length > 0) end();
  });
}
