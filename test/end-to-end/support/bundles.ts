import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { parseJsonc } from "../../../scripts/local/jsonc.ts";
import { bundleWorkers, REPOSITORY } from "../../../scripts/local/workers.ts";

/** The control API, with objects that are restarted by chance. */
const RESTARTED = fileURLToPath(new URL("../../restarted/index.ts", import.meta.url));

declare module "vitest" {
  interface ProvidedContext {
    /** The folder with the Workers' bundles. */
    bundles: string;
    /** The folder with the configuration that they were made with. */
    workers: string;
  }
}

/** Vitest's global setup: bundles the Workers once for all tests, which takes longer than a start of Operator. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "operator-bundles-"));
  const workers = join(folder, "workers");
  await configure(workers, "control-api", RESTARTED);
  await configure(workers, "dispatch-worker");
  const bundles = join(folder, "bundles");
  await bundleWorkers(workers, bundles);
  provide("bundles", bundles);
  provide("workers", workers);
  return () => rm(folder, { recursive: true, force: true });
}

/** Writes a Worker's configuration into a folder of the tests' own: the repository's, with absolute paths, or with another `main`. */
async function configure(workers: string, name: string, main?: string): Promise<void> {
  const config = parseJsonc(await readFile(join(REPOSITORY, name, "wrangler.jsonc"), "utf8")) as { main: string };
  await mkdir(join(workers, name), { recursive: true });
  const absolute = { ...config, main: main ?? join(REPOSITORY, name, config.main) };
  await writeFile(join(workers, name, "wrangler.jsonc"), JSON.stringify(absolute));
}
