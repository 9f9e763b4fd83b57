import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import * as z from "zod";

/** One line that workerd prints with `structuredLogging`. */
const Structured = z.object({ level: z.string(), message: z.string() });

export interface Said {
  readonly level: string;
  readonly message: string;
}

/** Calls `onMessage` for each message that workerd prints. workerd prints plain lines only while it starts. */
export function readOutput(stream: Readable, onMessage: (said: Said) => void): void {
  createInterface({ input: stream }).on("line", (line) => onMessage(parse(line)));
}

function parse(line: string): Said {
  try {
    return Structured.parse(JSON.parse(line));
  } catch {
    return { level: "error", message: line }; // plain text, shown unchanged
  }
}
