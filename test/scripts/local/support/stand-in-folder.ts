import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** The folder for the stand-in Workers that test files share. */
    standIn: string;
  }
}

/** Vitest's global setup: an empty folder, which ends with the run. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "operator-stand-in-"));
  provide("standIn", folder);
  return () => rm(folder, { recursive: true, force: true });
}
