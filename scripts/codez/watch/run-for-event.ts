import { spawn } from "node:child_process";
import { once } from "node:events";
import { childEnvironment } from "../../system/child-environment.ts";

/** A command that takes longer is ended, so that one that hangs does not stop all that follows. Milliseconds. */
const LIMIT_MS = 10 * 60_000;

/** Time between asking a command to end and ending it. Milliseconds. */
const KILL_AFTER_MS = 5_000;

/**
 * Runs a command for an event, with the event as JSON on its standard input. The event was written by a machine: so it is never an
 * argument, never a part of a shell's text, and the command does not get Operator's secrets. Answers what went wrong, or `null`.
 */
export async function runForEvent(
  [program = "", ...args]: readonly string[],
  event: string,
  limitMs = LIMIT_MS,
): Promise<string | null> {
  const child = spawn(program, args, {
    stdio: ["pipe", "inherit", "inherit"],
    env: childEnvironment(),
    shell: false,
  });
  const timer = setTimeout(() => {
    child.kill("SIGTERM");
    setTimeout(() => child.kill("SIGKILL"), KILL_AFTER_MS).unref();
  }, limitMs);
  // A command may end without reading its input.
  child.stdin.on("error", () => undefined);
  child.stdin.end(`${event}\n`);
  try {
    const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
    if (code === 0) return null;
    return signal === null ? `${program} ended with code ${code}` : `${program} was ended by ${signal}`;
  } catch (reason) {
    return `${program} could not be started: ${reason instanceof Error ? reason.message : String(reason)}`;
  } finally {
    clearTimeout(timer);
  }
}
