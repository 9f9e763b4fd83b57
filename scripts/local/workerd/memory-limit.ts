import { startedBy } from "./util-linux.ts";

/**
 * The words to put before a command so that it gets no more memory for its data than this. V8's own limit is for objects, and not for the buffers
 * that they stand for. What is beyond this is refused to the program, which tells its code so (`RangeError: Array buffer allocation failed`). Empty
 * where there is no prlimit.
 */
export function memoryLimit(megabytes: number): readonly string[] {
  return startedBy("prlimit", `--data=${megabytes * 1024 * 1024}`, "--");
}
