import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import * as z from "zod/mini";
import { bundleWithWrangler } from "../system/wrangler.ts";
import { atomicWrite } from "./atomic-write.ts";
import { CONTROL_BUILD, REPOSITORY } from "./repository.ts";
import { isUnchanged, stamp } from "./unchanged.ts";

/** Characters of a template's version: enough to tell any two apart, few enough to read aloud. */
const VERSION_CHARACTERS = 8;

const MODULE = `${CONTROL_BUILD}/machine.js.txt`;
const VERSION = `${CONTROL_BUILD}/machine.version.txt`;
const STAMP = `${CONTROL_BUILD}/machine.inputs.json`;

/** The files that Wrangler bundles: sources and packages, without the modules that it generates itself (`namespace:path`). */
const Meta = z.object({ inputs: z.record(z.string(), z.unknown()) });

/** The machine template as one module, bundled as wrangler would deploy it, and its version: a hash of it. */
export async function buildTemplate(): Promise<void> {
  if (await isUnchanged(STAMP)) return;
  const out = await mkdtemp(join(tmpdir(), "operator-template-"));
  try {
    const config = join(REPOSITORY, "machine-template/wrangler.jsonc");
    await bundleWithWrangler(config, out, { args: ["--minify", "--metafile"] });
    const module = await readFile(join(out, "index.js"), "utf8");
    const version = createHash("sha256").update(module).digest("hex").slice(0, VERSION_CHARACTERS);
    await atomicWrite(MODULE, module);
    await atomicWrite(VERSION, version);
    await stamp(STAMP, await inputsOf(join(out, "bundle-meta.json")), [MODULE, VERSION]);
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

/** Absolute paths of all that went into the bundle, its configuration and this program. */
async function inputsOf(meta: string): Promise<string[]> {
  const { inputs } = Meta.parse(JSON.parse(await readFile(meta, "utf8")));
  const folder = join(REPOSITORY, "machine-template");
  const files = Object.keys(inputs).filter((path) => !/^[a-z-]+:/.test(path));
  const others = ["machine-template/wrangler.jsonc", "package-lock.json", "scripts/build/template.ts"];
  return [...files.map((path) => resolve(folder, path)), ...others.map((path) => join(REPOSITORY, path))];
}
