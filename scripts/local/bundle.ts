import { createHash } from "node:crypto";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, extname, join, relative, resolve } from "node:path";
import * as z from "zod";
import { BundleFailure, bundleWithWrangler } from "../system/wrangler.ts";
import { readFileIfAny } from "./file.ts";
import type { WorkerConfig } from "./worker-config.ts";
import { Embed } from "./workerd/config.ts";
import type { Module } from "./workerd/config.ts";

/** Wrangler's list of the files that went into the bundle. */
const META = "bundle-meta.json";
const STAMP = "inputs.sha256";

type ModuleType = "esm" | "text" | "data" | "wasm" | "json";
/** A Worker's modules, the main one first. They refer to their files, which workerd reads itself. */
export interface Bundle {
  readonly modules: readonly Module[];
}

/**
 * Bundles a Worker with Wrangler, as a deployment does. Uses the bundle already in `folder` if no source has changed.
 * @param signal ends Wrangler at once
 */
export async function bundleWorker(
  configPath: string,
  config: WorkerConfig,
  folder: string,
  signal?: AbortSignal,
): Promise<Bundle> {
  const stamp = await stampOf(configPath, folder);
  if (stamp === null || stamp !== (await readFileIfAny(join(folder, STAMP)))) {
    await rm(folder, { recursive: true, force: true });
    await wrangle(configPath, folder, signal);
    await writeFile(join(folder, STAMP), (await stampOf(configPath, folder)) ?? "");
  }
  return readBundle(config, folder);
}

async function wrangle(configPath: string, folder: string, signal: AbortSignal | undefined): Promise<void> {
  try {
    await bundleWithWrangler(configPath, folder, {
      args: ["--metafile"],
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    // esbuild, which writes the files, reports the system's error as text only. A start explains its code (file-failure.ts).
    if (error instanceof BundleFailure && error.message.includes("no space left on device"))
      throw Object.assign(new Error("no space left on device", { cause: error }), { code: "ENOSPC", path: folder });
    throw error;
  }
}

const Meta = z.object({ inputs: z.record(z.string(), z.unknown()) });

/** The absolute paths of the files in a bundle, without those that Wrangler supplies itself. */
export async function bundledFiles(configPath: string, folder: string): Promise<string[]> {
  const { inputs } = Meta.parse(JSON.parse(await readFile(join(folder, META), "utf8")));
  const files = Object.keys(inputs).filter((path) => !/^[a-z-]+:/.test(path));
  return files.map((path) => resolve(dirname(configPath), path));
}

/**
 * A digest of the configuration, of every source that went into the bundle, and of the bundle itself, which a power cut may have
 * left incomplete; null when there is no bundle.
 */
async function stampOf(configPath: string, folder: string): Promise<string | null> {
  const meta = await readFileIfAny(join(folder, META));
  if (meta === null) return null;
  const inputs = inputsOf(meta);
  if (inputs === null) return null;
  const root = dirname(configPath);
  const hash = createHash("sha256");
  for (const path of [configPath, ...inputs.toSorted()]) {
    // esbuild writes `namespace:path` for inputs that a plugin supplied.
    const file = resolve(root, path.replace(/^[a-z-]+:/, ""));
    hash.update(path).update("\0");
    hash.update((await readFileIfAny(file).catch(() => null)) ?? "").update("\0");
  }
  for (const name of (await readdir(folder)).filter(isModule).toSorted())
    hash
      .update(name)
      .update("\0")
      .update(await readFile(join(folder, name)))
      .update("\0");
  return hash.digest("hex");
}

/** Whether a file of a bundle's folder is one of its modules, and not what Wrangler and this file write beside them. */
function isModule(name: string): boolean {
  return name !== "README.md" && name !== META && name !== STAMP && !name.endsWith(".map");
}

/** `null` if a crash or a full disk left the file incomplete. The bundle is then built again. */
function inputsOf(meta: string): string[] | null {
  try {
    return Object.keys(Meta.parse(JSON.parse(meta)).inputs);
  } catch {
    return null;
  }
}

/** The bundle that is in `folder`, whatever it was made of. @throws Error when the main module is missing */
export async function readBundle(config: WorkerConfig, folder: string): Promise<Bundle> {
  const mainModule = `${config.main.replace(/^.*\//, "").replace(/\.[^.]+$/, "")}.js`;
  const modules: Module[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = relative(folder, path);
    if (!entry.isFile() || !isModule(name)) continue;
    modules.push(moduleOf(name, typeOf(name, config), new Embed(path)));
  }
  const main = modules.find(({ name }) => name === mainModule);
  if (!main) throw new Error(`${folder} has no ${mainModule}`);
  return { modules: [main, ...modules.filter((module) => module !== main)] };
}

function moduleOf(name: string, type: ModuleType, content: Embed): Module {
  switch (type) {
    case "esm":
      return { name, esModule: content };
    case "text":
      return { name, text: content };
    case "data":
      return { name, data: content };
    case "json":
      return { name, json: content };
    case "wasm":
      return { name, wasm: content };
  }
}

const RULE_TYPES: Readonly<Record<string, ModuleType>> = {
  ESModule: "esm",
  Text: "text",
  Data: "data",
  CompiledWasm: "wasm",
};
const DEFAULT_TYPES: Readonly<Record<string, ModuleType>> = {
  ".js": "esm",
  ".mjs": "esm",
  ".txt": "text",
  ".html": "text",
  ".sql": "text",
  ".bin": "data",
  ".wasm": "wasm",
  ".json": "json",
};

/** Wrangler writes modules under hashed names without their folder, so a rule is matched by its file extension only. */
function typeOf(name: string, { rules }: WorkerConfig): ModuleType {
  const extension = extname(name);
  const rule = rules.find(({ globs }) => globs.some((glob) => extname(glob) === extension));
  const type = (rule && RULE_TYPES[rule.type]) ?? DEFAULT_TYPES[extension];
  if (!type) throw new Error(`no rule in wrangler.jsonc gives a module type for ${name}`);
  return type;
}
