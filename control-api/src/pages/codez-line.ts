import type { Env } from "../env.ts";
import { isLoopbackHost } from "#protocol/loopback-host.ts";

/**
 * How a person runs `codez <command>` on a computer that is, or is to become, a machine. `isInClone`: in the folder of the clone in which Operator
 * was started. In any other folder `npx codez` would run whatever npm's registry has under that name, so elsewhere it is the codez that Operator serves.
 */
export function codezLine(
  { ORIGIN, WITHOUT_CLONE }: Pick<Env, "ORIGIN" | "WITHOUT_CLONE">,
  command: string,
): { readonly line: string; readonly isInClone: boolean } {
  const isInClone = isLoopbackHost(new URL(ORIGIN).hostname) && WITHOUT_CLONE !== "1";
  return { isInClone, line: isInClone ? `npx codez ${command}` : `npx -y ${ORIGIN}/codez.tgz ${command}` };
}
