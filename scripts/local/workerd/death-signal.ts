import { spawnSync } from "node:child_process";

/** The kernel kills the process when the one that started it dies; part of util-linux, and so of nearly every Linux. */
const COMMAND = ["setpriv", "--pdeathsig", "KILL", "--"];
const TRIAL_TIMEOUT_MS = 2_000;

let isThere: boolean | undefined;

/**
 * What to write before a command so that it dies with us; empty where there is no such thing (macOS, BusyBox), and the
 * reaper is alone. It beats the reaper by leaving no moment: it works although the reaper was killed as well.
 */
export function deathSignal(): readonly string[] {
  if (process.platform !== "linux") return [];
  isThere ??=
    spawnSync("setpriv", [...COMMAND.slice(1), "true"], { timeout: TRIAL_TIMEOUT_MS, stdio: "ignore" }).status === 0;
  return isThere ? COMMAND : [];
}
