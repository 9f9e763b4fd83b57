import { realpath } from "node:fs/promises";
import { join, relative } from "node:path";
import { NotRegular, readFileInside } from "../../system/regular-file.ts";
import { git, type GitRun } from "./git.ts";

/** Names that are counted. A folder with more is full of something that nobody wrote by hand. */
const MAX_COUNTED = 5_000;

/** A name that is longer is none of a file system that git runs on. Bytes. */
const MAX_NAME_BYTES = 16 * 1024;

/** git looks for a NUL in so many bytes to tell a binary file from text. */
const LOOKED_AT_CHARACTERS = 8_000;

interface UntrackedNames {
  readonly names: readonly string[];
  /** Whether there are more than `MAX_COUNTED`. */
  readonly isMore: boolean;
}

/** Files below a folder that git neither tracks nor ignores, by their paths from the root. Throws ServeFailure `git_failed`. */
export async function untrackedNames(folder: string, run: GitRun): Promise<UntrackedNames> {
  const within = relative(run.root, folder);
  const asked = ["ls-files", "--others", "--exclude-standard", "-z", "--", within === "" ? "." : within];
  const names: string[] = [];
  let rest: Buffer = Buffer.alloc(0);
  for await (const piece of git(asked, run)) {
    const buffer = Buffer.concat([rest, piece]);
    let from = 0;
    for (let end = buffer.indexOf(0); end >= 0; end = buffer.indexOf(0, from)) {
      names.push(buffer.toString("utf8", from, end));
      from = end + 1;
    }
    rest = buffer.subarray(from);
    if (names.length > MAX_COUNTED || rest.length > MAX_NAME_BYTES) break;
  }
  return { names: names.slice(0, MAX_COUNTED), isMore: names.length > MAX_COUNTED };
}

export interface UntrackedFile {
  readonly additions: number | null;
  readonly isBinary: boolean;
  /** Its content as lines that were added, as far as it was read; `null` if there is nothing to show. */
  readonly diff: string | null;
  readonly cutBytes: number;
}

/** A new file's content as a patch has it. What is no regular file inside the repository is not read: a link, a pipe, a device. */
export async function readUntracked(root: string, name: string, maxBytes: number): Promise<UntrackedFile> {
  try {
    // A link is listed and not followed, even inside the repository: it may lead to what git ignores, or into `.git`.
    if ((await realpath(join(root, name))) !== join(root, name)) return NOT_READ;
    const { text, bytes, isCut } = await readFileInside(root, name, maxBytes);
    const isBinary = text.slice(0, LOOKED_AT_CHARACTERS).includes("\0");
    const cutBytes = isCut ? bytes - maxBytes : 0;
    if (isBinary || text === "") return { additions: isBinary ? null : 0, isBinary, diff: null, cutBytes: 0 };
    const lines = text.split("\n");
    const isEnded = lines.at(-1) === "";
    if (isEnded) lines.pop();
    const head = `@@ -0,0 +1,${lines.length} @@\n`;
    const end = isEnded || isCut ? "" : "\\ No newline at end of file\n";
    const diff = `${head}${lines.map((line) => `+${line}\n`).join("")}${end}`;
    return { additions: isCut ? null : lines.length, isBinary, diff, cutBytes };
  } catch (error) {
    // Gone in this moment, not readable, or not a file: it is listed by its name alone.
    if (error instanceof NotRegular || (error instanceof Error && "code" in error)) return NOT_READ;
    throw error;
  }
}

const NOT_READ: UntrackedFile = { additions: null, isBinary: false, diff: null, cutBytes: 0 };
