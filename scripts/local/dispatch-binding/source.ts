import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { IS_PACKED, PROGRAM } from "../program.ts";

export const WORKER_SOURCES = ["binding.ts", "guard.ts"] as const;
type WorkerSource = (typeof WORKER_SOURCES)[number];

const compiled = new Map<string, string>();

/** One of this folder's modules that run in workerd, compiled to JavaScript. */
export function workerSource(file: WorkerSource): string {
  const known = compiled.get(file);
  if (known !== undefined) return known;
  const code = IS_PACKED ? readFileSync(join(PROGRAM, packedPath(file)), "utf8") : compile(file);
  compiled.set(file, code);
  return code;
}

/** Where the packed program has the compiled module. */
export function packedPath(file: WorkerSource): string {
  return `build/dispatch-binding/${file.replace(/\.ts$/, ".js")}`;
}

function compile(file: WorkerSource): string {
  // Loaded here and not above: the packed program comes without esbuild.
  const { buildSync } = createRequire(import.meta.url)("esbuild") as typeof import("esbuild");
  const { outputFiles } = buildSync({
    entryPoints: [fileURLToPath(new URL(file, import.meta.url))],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    platform: "neutral",
    external: ["cloudflare-internal:*"],
  });
  const [output] = outputFiles;
  if (!output) throw new Error(`${file} did not compile`);
  return output.text;
}
