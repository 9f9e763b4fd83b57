import { spawnSync } from "node:child_process";

/** Makes the kernel kill the process when its parent dies. setpriv is part of util-linux, which nearly every Linux has. */
const COMMAND = ["setpriv", "--pdeathsig", "KILL", "--"];
const TRIAL_TIMEOUT_MS = 2_000;

let isThere: boolean | undefined;

/**
 * The words to put before a command so that the kernel kills it when this process dies. Empty where setpriv lacks the
 * option (macOS, BusyBox); there only the reaper cleans up. The kernel's signal is the stronger of the two: it has no
 * delay, and it still works when the reaper was killed too.
 */
export function deathSignal(): readonly string[] {
  if (process.platform !== "linux") return [];
  isThere ??=
    spawnSync("setpriv", [...COMMAND.slice(1), "true"], { timeout: TRIAL_TIMEOUT_MS, stdio: "ignore" }).status === 0;
  return isThere ? COMMAND : [];
}
