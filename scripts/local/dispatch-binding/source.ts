import { buildSync } from "esbuild";
import { fileURLToPath } from "node:url";

const compiled = new Map<string, string>();

/** One of this folder's modules that run in workerd, compiled to JavaScript. */
export function workerSource(file: "binding.ts" | "guard.ts"): string {
  const known = compiled.get(file);
  if (known !== undefined) return known;
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
  compiled.set(file, output.text);
  return output.text;
}
