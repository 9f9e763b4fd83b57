/** Some bundled packages are CommonJS and load Node's modules with `require`, which ES modules lack. */
export const BANNER =
  'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);';
