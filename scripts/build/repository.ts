import { fileURLToPath } from "node:url";

/** The repository's root. */
export const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url));

/** Where the control API finds what it imports of the other runtimes (`control-api/src/build.d.ts`). */
export const CONTROL_BUILD = `${REPOSITORY}control-api/build`;
