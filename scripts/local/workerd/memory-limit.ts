import { readFileSync } from "node:fs";
import { startedBy } from "./util-linux.ts";

/** What a process gets of the computer's memory. */
export type MemoryLimits = {
  /** Megabytes for its data. */
  readonly dataMb: number;
  /**
   * When the computer has no memory left, the system ends the process that has most of it. This one counts as if it had so much more, in thousandths of all
   * memory (proc_pid_oom_score_adj(5)).
   */
  readonly endsBefore: number;
};

const MOST = 1_000;

/**
 * The words to put before a command so that it gets no more memory than this. V8's own limit is for objects, and not for the buffers
 * that they stand for. What is beyond this is refused to the program, which tells its code so (`RangeError: Array buffer allocation failed`). A word
 * is left out where its program (prlimit, choom) is not there.
 */
export function limitedBy({ dataMb, endsBefore }: MemoryLimits): readonly string[] {
  const score = Math.min(MOST, ownScore() + endsBefore);
  return [
    ...startedBy("prlimit", `--data=${dataMb * 1024 * 1024}`, "--"),
    ...startedBy("choom", "--adjust", String(score), "--"),
  ];
}

/** That of this process, which a container or a service may have been given. Others may only be given a higher one. */
function ownScore(): number {
  try {
    return Number(readFileSync("/proc/self/oom_score_adj", "utf8"));
  } catch {
    return 0; // not Linux
  }
}
