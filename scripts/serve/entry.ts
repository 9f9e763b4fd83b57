import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The parts of serve that run in a process or thread of their own. */
export type Role = "keeper" | "index";

/**
 * How to start a part. In the sources each part has its own entry file. The shipped `codez` is a single file, which is started
 * again with the hidden command `serve part <role>`.
 */
export function entryOf(role: Role): { file: string; args: string[] } {
  const here = fileURLToPath(import.meta.url);
  const source = join(dirname(here), role === "keeper" ? "agent/keeper-main.ts" : "search-index/worker-main.ts");
  if (here.endsWith(".ts") && existsSync(source)) return { file: source, args: [] };
  return { file: here, args: ["serve", "part", role] };
}
