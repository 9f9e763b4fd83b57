/** How lines of the log are written: for people, or one JSON object per line for programs that collect logs. */
export const LOG_FORMATS = ["text", "json"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Who says a line: Operator's own processes, or the Workers that run in them. */
export type LogSource = "operator" | "worker";

/** One line of the log, without its line break. */
export function logLine(format: LogFormat, source: LogSource, message: string, now: Date): string {
  if (format === "json") return JSON.stringify({ time: now.toISOString(), source, message });
  // A Worker's line may be one of several of a stack trace, which a time in each would make hard to read.
  return source === "worker" ? message : `${now.toISOString()} ${message}`;
}
