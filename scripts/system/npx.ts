import { readFileSync, realpathSync } from "node:fs";
import { sep } from "node:path";
import * as z from "zod/mini";

/** How npm 7 and newer note, in the folder that `npx` installs into, what was asked for. */
const NpxPackage = z.looseObject({ _npx: z.looseObject({ packages: z.array(z.string()) }) });

/** What `npx` was asked to fetch, if it installed the program `script` into its cache: names, paths or addresses. Otherwise nothing. */
export function npxPackages(script: string | undefined): readonly string[] {
  if (script === undefined) return [];
  try {
    const parts = realpathSync(script).split(sep);
    const at = parts.lastIndexOf("_npx");
    if (at === -1 || parts.length <= at + 1) return [];
    const noted: unknown = JSON.parse(readFileSync([...parts.slice(0, at + 2), "package.json"].join(sep), "utf8"));
    return NpxPackage.safeParse(noted).data?._npx.packages ?? [];
  } catch {
    return []; // it was removed from npm's cache while it runs, which npm may do
  }
}
