import { dirname } from "node:path";
import * as z from "zod";
import { isOutOfFiles } from "../system/free-space.ts";
import { readFileIfAny } from "./file.ts";

/** A file of the state folder exists but cannot be parsed. The message says which file, why, and what to do. */
class DamagedFile extends Error {
  override name = "DamagedFile";
}

/** How much of a damaged file is shown: enough to recognise its content. */
const EXCERPT_CHARACTERS = 80;

interface Reading<T> {
  readonly schema: z.ZodType<T>;
  /** What the user can do about a damaged file, as a sentence. */
  readonly advice: string;
  /** The file contains secrets, so the error shows none of its content. */
  readonly isSecret?: boolean;
}

/** A JSON file of the state folder, or null when there is none. @throws DamagedFile */
export async function readStateFile<T>(path: string, { schema, advice, isSecret }: Reading<T>): Promise<T | null> {
  const text = await readFileIfAny(path);
  if (text === null) return null;
  const parsed = parse(text, schema);
  if ("value" in parsed) return parsed.value;
  const excerpt = JSON.stringify(text.slice(0, EXCERPT_CHARACTERS));
  const content = isSecret || text === "" ? "" : `, beginning with ${excerpt}`;
  throw new DamagedFile(
    `${path} is damaged: ${parsed.why}. It has ${Buffer.byteLength(text)} bytes${content}. ${advice}`,
  );
}

function parse<T>(text: string, schema: z.ZodType<T>): { value: T } | { why: string } {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { why: text === "" ? "it is empty" : "it is not JSON" };
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return { value: parsed.data };
  const [issue] = parsed.error.issues;
  return { why: `"${issue?.path.join(".") ?? ""}" in it is not valid (${issue?.message ?? "unknown"})` };
}

/** Messages for system error codes, with what the user can do. */
const MEANINGS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk of {folder} is full. Free some space there",
  EDQUOT: "the disk quota of {folder} is used up. Free some space there",
  EROFS: "{folder} is on a read-only disk. Mount it writable, or choose another folder with OPERATOR_STATE",
  EACCES: "{folder} may not be written by this user. Change its owner, or choose another folder with OPERATOR_STATE",
  EPERM: "{folder} may not be written by this user. Change its owner, or choose another folder with OPERATOR_STATE",
  ENOTDIR: "{folder} is not a folder. Choose another one with OPERATOR_STATE",
  EIO: "the disk of {folder} fails to read or write. Its system log says more",
};

const NO_MORE_FILES =
  "the disk of {folder} has no room for more files, only for bytes. Remove some files there; df -i shows how many it has";

/** SQLite's own words for it, with which Node throws (SQLITE_FULL). The higher bits of a code say more. */
const SQLITE_FULL = 13;

/** The code of a system error, also if SQLite has met it. */
function codeOf(error: Error): string | null {
  if ("errcode" in error && (Number(error.errcode) & 0xff) === SQLITE_FULL) return "ENOSPC";
  return "code" in error && typeof error.code === "string" ? error.code : null;
}

/** An error that says in a sentence that the disk is full, for one that means that; any other as it is. */
export function inWordsIfFull(error: unknown, folder: string): unknown {
  const isFull = error instanceof Error && ["ENOSPC", "EDQUOT"].includes(codeOf(error) ?? "");
  return isFull ? new Error(explainFileFailure(error, folder) ?? error.message, { cause: error }) : error;
}

/** A message for an error of the file system; null for any other error. `fallback` is the folder to name if the error has no path. */
export function explainFileFailure(error: unknown, fallback: string): string | null {
  if (!(error instanceof Error)) return null;
  const code = codeOf(error);
  const meaning = code === null ? undefined : MEANINGS[code];
  if (meaning === undefined) return null;
  const folder = "path" in error && typeof error.path === "string" ? dirname(error.path) : fallback;
  const cause = code === "ENOSPC" && isOutOfFiles(folder) ? NO_MORE_FILES : meaning;
  return `${cause.replace("{folder}", folder)}. (${error.message})`;
}
