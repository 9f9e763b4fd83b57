import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { bundleWorkers, REPOSITORY } from "../../../scripts/local/workers.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The folder with the Workers' bundles. */
    bundles: string;
  }
}

/** Vitest's global setup: bundles the Workers once for all tests, which takes longer than a start of Operator. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "operator-bundles-"));
  await bundleWorkers(REPOSITORY, folder);
  provide("bundles", folder);
  return () => rm(folder, { recursive: true, force: true });
}
