import { open } from "node:fs/promises";
import { readLines } from "./line-reader.ts";
import { findSessionFile } from "./session-file.ts";

/**
 * Whether Claude Code has taken the prompt with this id: it then wrote it into the session's file. A prompt that it has not written is
 * lost when it ends, and can be sent again.
 */
export async function wasTaken(projectsFolder: string, session: string, prompt: string): Promise<boolean> {
  const found = await findSessionFile(projectsFolder, session);
  if (found === null) return false;
  const mark = `"uuid":"${prompt}"`;
  const file = await open(found.path, "r");
  try {
    for await (const { lines } of readLines(file, 0))
      if (lines.some(({ text }) => text?.includes(mark) === true)) return true;
    return false;
  } finally {
    await file.close();
  }
}
