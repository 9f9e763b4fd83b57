import { constants } from "node:fs";
import { access, readdir, readlink, realpath } from "node:fs/promises";
import { isAbsolute, join, resolve } from "node:path";
import { isBelow } from "../../../system/folder.ts";

/** Entries that are looked at, which takes half a second. */
const MAX_ENTRIES = 50_000;

const NOWHERE: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "ELOOP"]);

/**
 * Whether a link in a folder, or anywhere below it, may lead out of the folder. Nobody knows of a folder that can be entered and not listed, of one
 * whose path is too long for a call of the system, and of one with more entries than are looked at: whoever made it may have put a link there.
 *
 * @param folder a real path
 * @param canMove whether the session may move what is in the folder without asking. A link that leads upwards may then lead out from its next place
 */
export async function mayLeadOut(folder: string, canMove: boolean, maxEntries = MAX_ENTRIES): Promise<boolean> {
  let left = maxEntries;
  // Level by level: the loop also visits what is appended here.
  const queue = [folder];
  for (const at of queue) {
    const entries = await readdir(at, { withFileTypes: true }).catch(() => null);
    if (entries === null) {
      if (await canEnter(at)) return true;
      continue;
    }
    left -= entries.length;
    if (left < 0) return true;
    for (const entry of entries) {
      if (entry.isDirectory()) queue.push(join(at, entry.name));
      if (entry.isSymbolicLink() && (await leadsOut(at, entry.name, folder, canMove))) return true;
    }
  }
  return false;
}

async function leadsOut(at: string, name: string, folder: string, canMove: boolean): Promise<boolean> {
  const path = join(at, name);
  try {
    const text = await readlink(path);
    if (canMove && partsOf(text).includes("..")) return true;
    return !isBelow((await realTarget(path)) ?? missingTarget(at, text), folder);
  } catch {
    // It leads through what may not be entered, or its path is too long.
    return true;
  }
}

/** `null` if the link leads nowhere, or in circles. */
async function realTarget(path: string): Promise<string | null> {
  try {
    return await realpath(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && NOWHERE.has(String(error.code))) return null;
    throw error;
  }
}

/**
 * Where a link leads when there is something: it may appear while the session goes on. Links on the way are looked at by themselves.
 * @throws for a path that goes up again after it went down, as that leads elsewhere once there is a link on the way
 */
function missingTarget(at: string, text: string): string {
  const parts = partsOf(text);
  const down = parts.findIndex((part) => part !== "..");
  if (down !== -1 && parts.includes("..", down)) throw new Error(`nobody knows where ${text} will lead`);
  return isAbsolute(text) ? resolve(text) : resolve(at, text);
}

function partsOf(path: string): string[] {
  return path.split(/[/\\]/).filter((part) => part !== "" && part !== ".");
}

/** Of a folder that may not be listed. What has a path that is too long for this call can be reached step by step. */
async function canEnter(folder: string): Promise<boolean> {
  return access(folder, constants.X_OK).then(
    () => true,
    (error: unknown) => !(error instanceof Error && "code" in error && error.code === "EACCES"),
  );
}
