import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * The environment in which programs keep compiled code for the next start, in a folder that ends with this process. A run of all tests starts a
 * thousand Node programs, most of them from a few sources (`codez`, `operator`, Wrangler), and without it each compiles them again: half of
 * the processor time of `operator servers list`. Node takes nothing from the folder that was compiled from another text.
 */
export function compileCache(): { readonly NODE_COMPILE_CACHE: string } {
  const folder = mkdtempSync(join(tmpdir(), "operator-compiled-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return { NODE_COMPILE_CACHE: folder };
}

/** The same for a program that gets nothing else of this process's environment. */
export function sameCompileCache(): Record<string, string> {
  const { NODE_COMPILE_CACHE: folder } = process.env;
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: folder };
}
