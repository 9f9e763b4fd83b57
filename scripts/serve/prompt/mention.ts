import { realpath } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { isBelow } from "../../system/folder.ts";

/** No person writes more mentions than this. */
const MAX_MENTIONS = 200;

/** The longest path that a system opens (PATH_MAX on Linux is 4,096). */
const MAX_PATH_CHARS = 4_096;

/** Without the look-behind, each of thousands of marks would be tried as the first of those at the end. */
const TRAILING_MARKS = /(?<![\p{P}\p{S}])[\p{P}\p{S}]+$/u;

/**
 * The paths after each `@` in a prompt, in every way in which an agent could parse them: quoted or not, with or without a line
 * range (`#L1-9`) and trailing punctuation. `null` when there are too many to check.
 */
export function mentionsIn(prompt: string): string[] | null {
  const found = new Set<string>();
  let mentions = 0;
  for (const { index } of prompt.matchAll(/@/g)) {
    mentions += 1;
    if (mentions > MAX_MENTIONS) return null;
    for (const path of readingsOf(prompt.slice(index + 1, index + 1 + MAX_PATH_CHARS))) found.add(path);
  }
  return [...found];
}

function readingsOf(after: string): string[] {
  const quoted = /^"([^"]*)"/.exec(after)?.[1];
  const word = /^[^\s]*/.exec(after)?.[0] ?? "";
  return [quoted ?? "", word, word.replace(/#.*$/s, ""), word.replace(TRAILING_MARKS, "")].filter(
    (path) => path !== "" && !path.includes("\0"),
  );
}

/**
 * The first mentioned file or folder that is outside the project, after following links; `null` when all are inside. Claude Code
 * adds the content of a mentioned file to the conversation without asking for permission.
 */
export async function outsideMention(paths: readonly string[], project: string): Promise<string | null> {
  for (const path of paths) {
    const real = await realpath(resolveMention(path, project)).catch(() => null); // does not exist, so nothing can be read
    if (real !== null && !isBelow(real, project)) return path;
  }
  return null;
}

function resolveMention(path: string, project: string): string {
  if (path === "~" || path.startsWith("~/")) return join(homedir(), path.slice(1));
  return isAbsolute(path) ? path : resolve(project, path);
}
