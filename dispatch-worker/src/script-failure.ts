import type { OperatorError } from "#protocol/error.ts";

/**
 * What a failed dispatch means. The platform reports the cause only in an exception's message (Workers for Platforms, "Dynamic
 * dispatch Worker"), so this function reads messages. The order of the cases matters. Only the first two guarantee that the
 * script has not received the call. In every other case the call may have been carried out, and the error says so.
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
    reason: "its script failed; the reason is in the operator's log",
    mayHaveRun: true,
  };
}

/** Whether the namespace has no such script. */
export function isUnknown(message: string): boolean {
  return message.startsWith("Worker not found");
}

/** No process of the script accepted the call. Only the local platform (scripts/local) reports this, before it sends the call. */
const NOT_RUNNING = /^the script is not running/i;

/** The script was replaced, evicted or killed in the middle of the call. The platform restarts it by itself. */
const LOST = /network connection lost|durable object reset|code was updated|internal error; reference/i;
