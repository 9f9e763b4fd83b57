import { printableJson, printableQuote } from "#protocol/printable.ts";

/** How lines of the log are written: for people, or one JSON object per line for programs that collect logs. */
export const LOG_FORMATS = ["text", "json"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Who says a line: Operator's own processes, or the Workers that run in them. */
export type LogSource = "operator" | "worker";

/**
 * One entry of the log, without its line break. Others have chosen parts of it: a hosted server prints what it likes. So it neither moves the
 * reader's cursor, nor has a line that could pass for the beginning of another entry.
 */
export function logLine(format: LogFormat, source: LogSource, message: string, now: Date): string {
  if (format === "json") return printableJson({ time: now.toISOString(), source, message });
  // A Worker's line may be one of several of a stack trace, which a time in each would make hard to read.
  return printableQuote(source === "worker" ? message : `${now.toISOString()} ${message}`);
}
