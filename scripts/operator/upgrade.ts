import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runningHolder } from "../local/lock.ts";
import { FETCHED, START_COMMAND } from "../local/program.ts";
import { ownVersion } from "../local/release.ts";
import { lookAtProcess } from "./look-at-state.ts";
import { rehearse } from "./rehearse.ts";

/** A start takes seconds, and the first one of a release also a backup and new bundles of the Workers. */
const RESTART_TIMEOUT_MS = 180_000;
const LOOK_AGAIN_MS = 500;

export type Told = (line: string) => void;

/**
 * Changes over to this release. First it is started with a copy of the state; if that fails, the running Operator is left alone.
 * Then `restart`, a shell command, restarts Operator, and the new process must answer. That start backs the state up, and writes
 * it back if it fails (scripts/local/release.ts). Without `restart`, a person does that.
 * @throws Error with a message for the person who typed the command
 */
export async function upgrade(stateDir: string, restart: string | undefined, tell: Told): Promise<void> {
  const version = ownVersion();
  tell(`trying ${version} with a copy of ${stateDir}; the running Operator is not touched ...`);
  const { machines } = await rehearse(stateDir).catch((reason: unknown) => {
    const why = reason instanceof Error ? reason.message : String(reason);
    throw new Error(`${version} does not work with ${stateDir}, so nothing was changed:\n${why}`, { cause: reason });
  });
  tell(`${version} opens it, with ${machines} machines.`);
  const before = await runningHolder(join(stateDir, "lock.json"));
  if (before === null) return tell(`Operator is not running. Start it with: ${START_COMMAND}`);
  if (restart === undefined) {
    const install = FETCHED === null ? "" : `Install this release (npm install --global ${FETCHED}), then restart`;
    return tell(`${install || "Restart"} Operator now (process ${before.pid}). Machines reconnect by themselves.`);
  }
  tell(`restarting: ${restart}`);
  const [code] = (await once(spawn(restart, { shell: true, stdio: "inherit" }), "close")) as [number | null];
  if (code !== 0) throw new Error(`"${restart}" ended with ${code}. Restart Operator yourself.`);
  const deadlineMs = Date.now() + RESTART_TIMEOUT_MS;
  while (Date.now() < deadlineMs) {
    const holder = await runningHolder(join(stateDir, "lock.json"));
    // An Operator that starts has written its process to the lock file, and not yet its gate and its release, which follow together.
    if (holder?.gate !== undefined && holder.pid !== before.pid) {
      const { finding } = await lookAtProcess(stateDir);
      if (finding.level === "ok" && holder.version !== version)
        throw new Error(
          `"${restart}" started ${holder.version ?? "an earlier release"} again, not ${version}. Install ${version} in its place, then restart Operator.`,
        );
      if (finding.level === "ok") return tell(finding.says);
    }
    await sleep(LOOK_AGAIN_MS);
  }
  throw new Error(
    `${version} did not start within ${RESTART_TIMEOUT_MS / 1000} s. A failed first start writes the state back: put the last release back and start it. Its log: ${join(stateDir, "operator.log")}`,
  );
}
