import * as z from "zod";
import { openRegularFile } from "../../system/regular-file.ts";
import { parseJson } from "#protocol/json.ts";

/** The first prompt and the first line with a folder are within this, past attachments and snapshots of prompts. */
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
    // The last one is whole only if the file ended here.
    if (bytesRead === HEAD_BYTES) lines.pop();
    return lines.map(parseLine).filter((line) => line !== null);
  } finally {
    await file.close();
  }
}

/** `null` for a line that is half-written or foreign. Counting those is for a reader of the whole file. */
function parseLine(line: string): z.infer<typeof Line> | null {
  return Line.safeParse(parseJson(line)).data ?? null;
}
