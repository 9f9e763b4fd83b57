import { spawnSync } from "node:child_process";

const TRIAL_TIMEOUT_MS = 2_000;

/** Whether these words work on this computer, by what they are. */
const tried = new Map<string, boolean>();

/**
 * The words to put before a command so that a program of util-linux starts it, with what that can do for it. Nearly every Linux has these. Empty where
 * the program is not there or does not know an option (macOS, BusyBox), which is tried once.
 */
export function startedBy(...words: readonly string[]): readonly string[] {
  if (process.platform !== "linux") return [];
  const [program = "", ...options] = words;
  const key = words.join(" ");
  const works =
    tried.get(key) ??
    spawnSync(program, [...options, "true"], { timeout: TRIAL_TIMEOUT_MS, stdio: "ignore" }).status === 0;
  tried.set(key, works);
  return works ? words : [];
}
