import { readFileSync } from "node:fs";

/** Put in place by `scripts/build`; in the sources there is none. */
declare const CODEZ_VERSION: string | undefined;

/** The version of this `codez`, which is its repository's. */
export const VERSION = typeof CODEZ_VERSION === "string" ? CODEZ_VERSION : versionOfSources();

function versionOfSources(): string {
  const manifest: { version: string } = JSON.parse(
    readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
  );
  return manifest.version;
}
