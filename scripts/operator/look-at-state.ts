import { statSync } from "node:fs";
import { join } from "node:path";
import { freeSpaceOf } from "../system/free-space.ts";
import { askGate } from "../local/ask-gate.ts";
import { runningHolder } from "../local/lock.ts";
import { START_COMMAND } from "../local/program.ts";
import type { Finding } from "./finding.ts";

/** Below this, a few days of use may fill the disk. Below 32 MB a running Operator itself reports a full disk. */
const LOW_BYTES = 512 * 1024 * 1024;
/** Each machine and session takes a few files, and an object that is written to three at most. */
const LOW_FILES = 10_000;

/** Paths in the state folder that only their owner may access; "" is the folder itself. */
const PRIVATE = ["", "secrets.json"] as const;

/** Checks that no other user can read the secrets in a state folder. */
export function lookAtPermissions(stateDir: string): Finding[] {
  return PRIVATE.map((name) => {
    const path = join(stateDir, name);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined)
      return {
        level: "problem",
        says: `${path} does not exist`,
        fix: "Set OPERATOR_STATE to the folder of an Operator.",
      };
    const user = process.getuid?.();
    if (user !== 0 && stat.uid !== user)
      return { level: "problem", says: `${path} belongs to another user (${stat.uid})`, fix: "Run this as that user." };
    if ((stat.mode & 0o077) !== 0)
      return { level: "problem", says: `others may read ${path}`, fix: `chmod go= ${path}` };
    return { level: "ok", says: `only its owner can read ${path}` };
  });
}

export async function lookAtDisk(stateDir: string): Promise<Finding> {
  const { bytes, files } = await freeSpaceOf(stateDir);
  const isShortOfFiles = files < LOW_FILES;
  const room = isShortOfFiles ? ` and room for ${files} files` : "";
  const free = `${Math.floor(bytes / 1024 / 1024)} MB${room} are free on the disk of ${stateDir}`;
  return bytes < LOW_BYTES || isShortOfFiles
    ? { level: "warning", says: free, fix: "Free some space there, or move the folder (OPERATOR_STATE)." }
    : { level: "ok", says: free };
}

/** Checks whether an Operator runs with this state folder, and returns its URL. */
export async function lookAtProcess(stateDir: string): Promise<{ finding: Finding; url: string | null }> {
  const holder = await runningHolder(join(stateDir, "lock.json"));
  if (holder === null)
    return {
      finding: { level: "problem", says: "Operator is not running", fix: START_COMMAND },
      url: null,
    };
  const { pid, url, gate } = holder;
  if (gate === undefined)
    return {
      finding: { level: "warning", says: `Operator is starting (process ${pid})`, fix: "Ask again in a moment." },
      url: null,
    };
  const isUp = await askGate({ gate, url }, "/api/claim").then(
    ({ status }) => status < 500,
    () => false,
  );
  return {
    finding: isUp
      ? { level: "ok", says: `Operator runs at ${url} (process ${pid})` }
      : {
          level: "problem",
          says: `Operator runs (process ${pid}), but its gate does not answer`,
          fix: `Its log says why: ${join(stateDir, "operator.log")}`,
        },
    url,
  };
}
