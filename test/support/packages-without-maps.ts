import type { Plugin } from "vite";

/**
 * Leaves out the source maps of packages. Vitest sends them to each isolate with the code, where they were two thirds of all that is sent. A test's
 * stack trace then names the line of a package's bundle; lines of our own sources are as before.
 */
export function packagesWithoutMaps(): Plugin {
  return {
    name: "packages-without-maps",
    enforce: "post",
    transform: {
      filter: { id: /\/node_modules\// },
      handler: (code) => ({ code, map: { mappings: "" } }),
    },
  };
}
