import type { OperatorError } from "#protocol/error.ts";

/**
 * What a failed dispatch means. The platform says it by an exception's message alone (Workers for Platforms, "Dynamic
 * dispatch Worker"), so this reads messages. The order of the cases matters: only the first two are promises that the
 * script has not seen the call. Everything else may have been carried out, and is said to.
 */
export function scriptFailure(reason: unknown, machine: string, cpuMs: number): OperatorError {
  const message = reason instanceof Error ? reason.message : String(reason);
  if (isUnknown(message)) return { code: "machine_unknown", machine };
  console.error("a machine script failed", { machine, message });
  if (NOT_RUNNING.test(message)) return { code: "machine_starting", machine };
  if (/exceeded.*time|timed? ?out/i.test(message)) return { code: "machine_timeout", machine, afterMs: cpuMs };
  if (LOST.test(message)) return { code: "link_lost", machine };
  return {
    code: "machine_failed",
    machine,
    reason: "its script failed, and the operator's log says how",
    mayHaveRun: true,
  };
}

/** Whether the namespace has no such script. */
export function isUnknown(message: string): boolean {
  return message.startsWith("Worker not found");
}

/** No process of the script took the call (scripts/local, which finds a script before it sends a call). */
const NOT_RUNNING = /^the script is not running/i;

/** The script was replaced, evicted or killed in the middle of the call. It is there again by itself. */
const LOST = /network connection lost|durable object reset|code was updated|internal error; reference/i;
