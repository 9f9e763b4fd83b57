import * as z from "zod";
import { openRegularFile } from "../../system/regular-file.ts";
import { parseJson } from "#protocol/json.ts";

/** The first prompt and the first line with a folder are within this many bytes, even after attachments and snapshots. */
const HEAD_BYTES = 256 * 1024;

const Line = z.looseObject({ type: z.string().optional(), cwd: z.string().optional() });

/** The whole lines at the start of a session's file that are JSON objects. */
export async function readHead(path: string): Promise<z.infer<typeof Line>[]> {
  const file = await openRegularFile(path);
  try {
    const buffer = Buffer.alloc(HEAD_BYTES);
    const { bytesRead } = await file.read(buffer, 0, HEAD_BYTES, 0);
    const text = buffer.toString("utf8", 0, bytesRead);
    const lines = text.split("\n");
    // The last line is complete only if the file ends here.
    if (bytesRead === HEAD_BYTES) lines.pop();
    return lines.map(parseLine).filter((line) => line !== null);
  } finally {
    await file.close();
  }
}

/** `null` for an incomplete or unknown line. Only readers of the whole file count such lines. */
function parseLine(line: string): z.infer<typeof Line> | null {
  return Line.safeParse(parseJson(line)).data ?? null;
}
