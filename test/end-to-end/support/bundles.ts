import type { TestProject } from "vitest/node";
import { bundleWorkers, REPOSITORY } from "../../../scripts/local/workers.ts";
import "../../support/bundles-folder.ts";

/** Vitest's global setup: bundles the Workers once for all tests, which takes longer than a start of Operator. */
export default async function setup(project: TestProject): Promise<void> {
  await bundleWorkers(REPOSITORY, project.getProvidedContext().bundles);
}
