import { isMachineName, machineNameFrom } from "#protocol/slug.ts";
import { ExitCode } from "./exit-code.ts";
import { CodezFailure } from "./failure.ts";

/**
 * The name that a person has given, if it can be a machine's name.
 * @param command what they typed before it, so that they are told what to type instead
 * @throws CodezFailure
 */
export function checkName(name: string, command: string): string {
  if (isMachineName(name)) return name;
  const near = machineNameFrom(name);
  throw new CodezFailure(
    ExitCode.USAGE,
    `"${name}" cannot be a machine's name. Use 1 to 32 of a-z, 0-9 and single hyphens inside. Some names are reserved.`,
    `${command} ${near === null || near === name ? "<another-name>" : near}`,
  );
}
