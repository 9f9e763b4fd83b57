import { spawnSync } from "node:child_process";

const TRIAL_TIMEOUT_MS = 2_000;

let isThere: boolean | undefined;

/**
 * The words to put before a command so that it gets no more memory for its data than this. V8's own limit is for objects, and not for the buffers
 * that they stand for. What is beyond this is refused to the program, which tells its code so (`RangeError: Array buffer allocation failed`). prlimit
 * is part of util-linux, which nearly every Linux has. Empty where it is not there.
 */
export function memoryLimit(megabytes: number): readonly string[] {
  if (process.platform !== "linux") return [];
  const words = ["prlimit", `--data=${megabytes * 1024 * 1024}`, "--"];
  isThere ??=
    spawnSync(words[0] ?? "", [...words.slice(1), "true"], { timeout: TRIAL_TIMEOUT_MS, stdio: "ignore" }).status === 0;
  return isThere ? words : [];
}
