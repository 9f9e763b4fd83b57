import { resolve } from "node:path";
import { bundleWorkers, REPOSITORY } from "./workers.ts";

/**
 * Bundles the Workers ahead of the first start, into OPERATOR_BUNDLES: for an image or a service whose program files cannot be
 * written. A start with the same OPERATOR_BUNDLES then finds them.
 */
const folder = process.env["OPERATOR_BUNDLES"];
if (!folder) {
  console.error("OPERATOR_BUNDLES names no folder: say where the bundles go, here and when Operator is started");
  process.exit(1);
}
await bundleWorkers(REPOSITORY, resolve(folder));
