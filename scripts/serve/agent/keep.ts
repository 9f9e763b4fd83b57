import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import * as z from "zod";
import { killTree } from "../../system/process-tree.ts";

const Line = z.union([z.object({ watch: z.int(), mark: z.string() }), z.object({ forget: z.int() })]);

/** Runs the keeper: records which processes to watch and, when serve is gone, ends those that are left. */
export async function keep(input: Readable): Promise<void> {
  const watched = new Map<number, string>();
  for (const name of ["SIGINT", "SIGHUP"] as const) process.on(name, () => undefined);
  for await (const text of createInterface({ input })) {
    const line = Line.parse(JSON.parse(text));
    if ("watch" in line) watched.set(line.watch, line.mark);
    else watched.delete(line.forget);
  }
  await Promise.all([...watched].map(([pid, mark]) => killTree(pid, mark)));
}
