import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The parts of serve that run outside its own thread. */
export type Role = "keeper" | "index";

/**
 * How a part is started: in the sources each has a file of its own; the shipped `codez` is one file, which is entered
 * again with `serve part <role>` (a hidden command) and finds its way from there.
 */
export function entryOf(role: Role): { file: string; args: string[] } {
  const here = fileURLToPath(import.meta.url);
  const source = join(dirname(here), role === "keeper" ? "agent/keeper-main.ts" : "search-index/worker-main.ts");
  if (here.endsWith(".ts") && existsSync(source)) return { file: source, args: [] };
  return { file: here, args: ["serve", "part", role] };
}
