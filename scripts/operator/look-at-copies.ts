import { existsSync } from "node:fs";
import { join } from "node:path";
import { OPERATOR_COMMAND, START_COMMAND } from "../local/program.ts";
import { UNPACKED, UNPACKING } from "../local/backup/backup.ts";
import { placesOf, removeAbandoned } from "../local/backup/copies-folder.ts";
import { runningHolder } from "../local/lock.ts";
import type { Finding } from "./finding.ts";

/** Removes what killed backups and upgrades have left, copies of all secrets, and says so; and what a killed restore has left. */
export async function lookAtCopies(stateDir: string): Promise<Finding[]> {
  const found = placesOf(stateDir).map(removeAbandoned);
  return [
    ...found
      .flatMap(({ removed }) => removed)
      .map((path) => ({ level: "ok", says: `removed ${path}, which a killed backup or upgrade had left` }) as const),
    ...found.flatMap(({ unclear }) => unclear).map(unclearFinding),
    ...(await lookAtRestore(stateDir)),
  ];
}

function unclearFinding(path: string): Finding {
  return {
    level: "warning",
    says: `${path} may have copies of all secrets: a backup or upgrade of an earlier release made it, and was perhaps killed`,
    fix: `If none is running: rm -r ${path}`,
  };
}

/** A restore or a start that is at work now will have ended with this folder in a moment. */
async function lookAtRestore(stateDir: string): Promise<Finding[]> {
  const left = [UNPACKED, UNPACKING].find((name) => existsSync(join(stateDir, name)));
  if (left === undefined || (await runningHolder(join(stateDir, "lock.json"))) !== null) return [];
  return [
    {
      level: "problem",
      says: `a restore was killed: ${join(stateDir, left)} has copies of all secrets`,
      fix:
        left === UNPACKED ? `The next start finishes it: ${START_COMMAND}` : `Repeat it: ${OPERATOR_COMMAND} restore`,
    },
  ];
}
