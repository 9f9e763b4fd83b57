import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

declare module "vitest" {
  interface ProvidedContext {
    /** The folder for the Workers' bundles. `bundleWorkers` makes them there, or takes those that are there. */
    bundles: string;
  }
}

/** A folder for the Workers' bundles that all projects share. It ends with this process. */
export function bundlesFolder(): { readonly bundles: string } {
  const folder = mkdtempSync(join(tmpdir(), "operator-bundles-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return { bundles: folder };
}
