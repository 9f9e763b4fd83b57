import { Option } from "commander";
import { ExitCode, FINAL_EXIT_CODES } from "./exit-code.ts";

/** Given by the service file that `codez service install` writes on macOS. */
export const LAUNCHD_FLAG = "--launchd";

export const LAUNCHD_OPTION = new Option(LAUNCHD_FLAG, "end with 0 where starting again would not help").hideHelp();

/**
 * What a process that launchd started ends with. systemd is given a list of exit codes after which it must not start the
 * process again. launchd knows success and failure only (`KeepAlive`, `SuccessfulExit`), so to stay down `codez` has to end
 * with 0: a machine that was revoked would otherwise dial every 30 seconds for as long as the computer runs. The reason
 * has been written to the log by then.
 */
export function exitCodeForLaunchd(exitCode: number): number {
  return FINAL_EXIT_CODES.some((final) => final === exitCode) ? ExitCode.OK : exitCode;
}
