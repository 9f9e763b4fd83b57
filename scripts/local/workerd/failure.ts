import { stripVTControlCharacters } from "node:util";

/** Log timestamps, stack frames and workerd's own prefixes: they say nothing about the uploaded script. */
const NOISE = /^\s*(\{"timestamp"|stack:|at |\*\*\*|service core:user:\S+: *$)/;

/** What workerd printed while it failed to start, as one message for the uploader of the script. */
export function explainFailure(error: unknown, said: readonly string[]): string {
  const lines = said
    .join("\n")
    .split("\n")
    .map((line) =>
      stripVTControlCharacters(line)
        .replace(/^service core:user:[^:]+: /, "")
        .trimEnd(),
    )
    .filter((line) => line !== "" && !NOISE.test(line));
  if (lines.length > 0) return lines.join("\n");
  return error instanceof Error ? error.message : String(error);
}
