import { readFile } from "node:fs/promises";
import * as z from "zod/mini";

const Entry = z.object({
  version: z.optional(z.string()),
  integrity: z.optional(z.string()),
  license: z.optional(z.string()),
  link: z.optional(z.boolean()),
  dev: z.optional(z.boolean()),
});
const LockFile = z.object({ lockfileVersion: z.literal(3), packages: z.record(z.string(), Entry) });

/** One package that `package-lock.json` installs. */
export type Package = {
  /** Its folder below the repository: `node_modules/zod`. One package may be there in several folders and versions. */
  readonly folder: string;
  readonly name: string;
  readonly version: string;
  /** SPDX expression; `null` if the lock file does not say. */
  readonly license: string | null;
  /** `sha512-...`, as npm checks it at installation. */
  readonly integrity: string | null;
  /** Needed only to build and to test. */
  readonly isDev: boolean;
};

/** Every package of a lock file, in the order of their folders. */
export async function packagesOf(path: string): Promise<Package[]> {
  const { packages } = LockFile.parse(JSON.parse(await readFile(path, "utf8")));
  return Object.entries(packages)
    .filter(([folder, { link }]) => folder !== "" && link !== true)
    .map(([folder, { version = "", license = null, integrity = null, dev }]) => ({
      folder,
      name: folder.slice(folder.lastIndexOf("node_modules/") + "node_modules/".length),
      version,
      license,
      integrity,
      isDev: dev === true,
    }))
    .sort((one, other) => (one.folder < other.folder ? -1 : 1));
}
