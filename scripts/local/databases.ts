import { open } from "node:fs/promises";
import { dirname, sep } from "node:path";
import { isMissing } from "../system/is-missing.ts";
import { filesBelow } from "./files-below.ts";
import { scriptFolders } from "./platform/folders.ts";
import { OPERATOR_COMMAND } from "./program.ts";
import { stateIn } from "./state.ts";

/** The first bytes of every SQLite database (sqlite.org/fileformat.html, section 1.3). */
const MAGIC = Buffer.from("SQLite format 3\0");

/** How many databases of one script are looked at. A machine's has two. A hosted server may have a million, which took minutes at each start. */
const MOST_OF_SCRIPT = 20;

/**
 * One message for each damaged database in a state folder. Without this check, the first call that needs such a database
 * would fail with an internal error of workerd that does not name the file.
 */
export async function damagedDatabases(folder: string): Promise<string[]> {
  const { control, platform } = stateIn(folder);
  const found: string[] = [];
  for (const path of [...(await databasesIn(control, Infinity)), ...(await databasesOfScripts(platform))]) {
    const what = await faultOf(path);
    if (what !== null)
      found.push(
        `${path} is damaged: ${what}. Restore a backup (${OPERATOR_COMMAND} restore), or stop Operator and put back a copy of this file. ` +
          `If you have neither, move it away with the -wal and -shm files beside it: ${consequenceOf(path)}`,
      );
  }
  return found;
}

async function databasesOfScripts(platform: string): Promise<string[]> {
  const found: string[] = [];
  for (const script of await scriptFolders(platform)) found.push(...(await databasesIn(script, MOST_OF_SCRIPT)));
  return found;
}

async function databasesIn(folder: string, most: number): Promise<string[]> {
  const found: string[] = [];
  for await (const path of filesBelow(folder)) {
    if (path.endsWith(".sqlite") && found.push(path) >= most) break;
  }
  return found;
}

async function faultOf(path: string): Promise<string | null> {
  try {
    await using file = await open(path, "r");
    const { bytesRead, buffer } = await file.read(Buffer.alloc(MAGIC.length), 0, MAGIC.length, 0);
    // An empty file is a valid database to which nothing was written yet.
    return bytesRead === 0 || buffer.equals(MAGIC) ? null : "it is not a SQLite database";
  } catch (reason) {
    if (isMissing(reason)) return null;
    return reason instanceof Error ? reason.message : String(reason);
  }
}

/** What is lost without a database, by the Durable Object class that stored it. */
function consequenceOf(path: string): string {
  const place = dirname(path).split(sep).at(-1) ?? "";
  if (place.endsWith("-User"))
    return "the list of machines is rebuilt from their scripts, access tokens have to be created again, and the audit log is lost.";
  if (place.endsWith("-Accounts"))
    return "people, passkeys and passwords are lost, and the Operator can be claimed again.";
  if (place.endsWith("-Webhooks"))
    return "webhooks have to be added again, and MCP clients subscribe again by themselves.";
  if (place.endsWith("-OAuthStore")) return "the apps that were signed in have to sign in again.";
  return "the event log of that machine is lost, and a new one starts.";
}
