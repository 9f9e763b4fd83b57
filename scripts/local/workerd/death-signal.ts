import { startedBy } from "./util-linux.ts";

/**
 * The words to put before a command so that the kernel kills it when this process dies. Empty where setpriv lacks the
 * option; there only the reaper cleans up. The kernel's signal is the stronger of the two: it has no
 * delay, and it still works when the reaper was killed too.
 */
export function deathSignal(): readonly string[] {
  return startedBy("setpriv", "--pdeathsig", "KILL", "--");
}
