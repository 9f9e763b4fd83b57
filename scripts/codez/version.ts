import { readFileSync } from "node:fs";

/** Defined by `scripts/build` in the bundle; undefined when codez runs from its sources. */
declare const CODEZ_VERSION: string | undefined;

/** The version of this `codez`: the repository's and, in the bundle, a hash of the code. */
export const VERSION = typeof CODEZ_VERSION === "string" ? CODEZ_VERSION : versionOfSources();

function versionOfSources(): string {
  const manifest: { version: string } = JSON.parse(
    readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
  );
  return manifest.version;
}
