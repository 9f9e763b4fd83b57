import { build } from "esbuild";
import { join } from "node:path";
import { atomicWrite } from "./atomic-write.ts";
import { CONTROL_BUILD, REPOSITORY } from "./repository.ts";
import { isUnchanged, stamp } from "./unchanged.ts";

const ENTRY = join(REPOSITORY, "machine-template/src/hosted/host.ts");
const MODULE = `${CONTROL_BUILD}/host.js.txt`;
const STAMP = `${CONTROL_BUILD}/host.inputs.json`;

/** The module that is uploaded beside each hosted server's own modules, and wraps them. */
export async function buildHost(): Promise<void> {
  if (await isUnchanged(STAMP)) return;
  const { outputFiles, metafile } = await build({
    absWorkingDir: REPOSITORY,
    entryPoints: [ENTRY],
    bundle: true,
    write: false,
    minify: true,
    metafile: true,
    format: "esm",
    target: "es2024",
    platform: "neutral",
    // As wrangler resolves packages for Workers.
    conditions: ["workerd", "worker", "browser"],
    mainFields: ["module", "main"],
    external: ["cloudflare:*"],
  });
  const [output] = outputFiles;
  if (output === undefined) throw new Error(`${ENTRY} did not compile`);
  await atomicWrite(MODULE, output.text);
  const inputs = Object.keys(metafile.inputs).map((path) => join(REPOSITORY, path));
  await stamp(
    STAMP,
    [...inputs, join(REPOSITORY, "package-lock.json"), join(REPOSITORY, "scripts/build/host.ts")],
    [MODULE],
  );
}
