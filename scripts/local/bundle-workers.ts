import { resolve } from "node:path";
import { bundleWorkers, REPOSITORY } from "./workers.ts";

/**
 * Bundles the Workers into OPERATOR_BUNDLES before the first start, for an image or a service whose program files are
 * read-only. A start with the same OPERATOR_BUNDLES then uses these bundles.
 */
const folder = process.env["OPERATOR_BUNDLES"];
if (!folder) {
  console.error("OPERATOR_BUNDLES is not set: set it to the folder for the bundles, here and when you start Operator");
  process.exit(1);
}
await bundleWorkers(REPOSITORY, resolve(folder));
