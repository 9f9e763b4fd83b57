import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, extname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Migration, type ServerConfig } from "#protocol/hosted-server.ts";
import * as z from "zod";
import { OPERATOR_COMMAND } from "../../local/program.ts";
import { parseJsonc } from "../../local/jsonc.ts";
import { BundleFailure, bundleWithWrangler } from "../../system/wrangler.ts";

/** A module as wrangler bundled it. `type` is the content type with which it is uploaded. */
export type BundledModule = { readonly name: string; readonly type: string; readonly content: Uint8Array<ArrayBuffer> };
export type BundledServer = {
  /** The name that wrangler.jsonc gives. */
  readonly name: string;
  readonly config: ServerConfig;
  readonly modules: readonly BundledModule[];
};

/** A folder that cannot be deployed, with what to do about it. */
class ServerFolderError extends Error {
  override readonly name = "ServerFolderError";
}

/** The fields of a wrangler.jsonc that a hosted server uses, and those without effect here. */
const Config = z.strictObject({
  name: z.string(),
  main: z.string(),
  compatibility_date: z.string(),
  compatibility_flags: z.array(z.string()).default([]),
  vars: z.record(z.string(), z.json()).default({}),
  durable_objects: z
    .strictObject({ bindings: z.array(z.strictObject({ name: z.string(), class_name: z.string() })) })
    .default({ bindings: [] }),
  migrations: z.array(Migration).default([]),
  rules: z.unknown().optional(),
  alias: z.unknown().optional(),
  define: z.unknown().optional(),
  minify: z.unknown().optional(),
  tsconfig: z.unknown().optional(),
  $schema: z.unknown().optional(),
  observability: z.unknown().optional(),
  workers_dev: z.unknown().optional(),
  preview_urls: z.unknown().optional(),
  dev: z.unknown().optional(),
});

/** By a file's ending, how wrangler uploads it (workers-sdk, "Bundling": default module rules). */
const TYPES: Readonly<Record<string, string>> = {
  ".js": "application/javascript+module",
  ".mjs": "application/javascript+module",
  ".wasm": "application/wasm",
  ".txt": "text/plain",
  ".html": "text/plain",
  ".sql": "text/plain",
  ".bin": "application/octet-stream",
  ".json": "application/json",
};

/** Bundles the Worker in `folder` with wrangler. @throws ServerFolderError */
export async function bundleServer(folder: string): Promise<BundledServer> {
  const path = ["wrangler.jsonc", "wrangler.json"].map((name) => resolve(folder, name)).find((one) => existsSync(one));
  if (path === undefined)
    throw new ServerFolderError(
      `${folder} has no wrangler.jsonc. Make a server from a template in an empty folder: ${OPERATOR_COMMAND} servers new echo <folder>`,
    );
  const config = await readConfig(path);
  const out = await mkdtemp(join(tmpdir(), "operator-server-"));
  try {
    await wrangle(path, out);
    const modules = await modulesIn(out);
    return {
      name: config.name,
      config: {
        mainModule: `${basename(config.main, extname(config.main))}.js`,
        compatibilityDate: config.compatibility_date,
        compatibilityFlags: config.compatibility_flags,
        vars: config.vars,
        objects: config.durable_objects.bindings.map(({ name, class_name: className }) => ({ name, className })),
        migrations: config.migrations,
      },
      modules,
    };
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

async function readConfig(path: string): Promise<z.infer<typeof Config>> {
  const parsed = Config.safeParse(parseJsonc(await readFile(path, "utf8")));
  if (parsed.success) return parsed.data;
  const foreign = parsed.error.issues.flatMap((issue) => (issue.code === "unrecognized_keys" ? issue.keys : []));
  // The newer way to declare classes. It has no tags, and what a server has to be migrated from is known here by the tag alone.
  if (foreign.includes("exports"))
    throw new ServerFolderError(
      `${path}: a hosted server declares its Durable Objects with migrations, not with exports. For a class Notes: ` +
        '"migrations": [{ "tag": "v1", "new_sqlite_classes": ["Notes"] }]',
    );
  if (foreign.length > 0)
    throw new ServerFolderError(
      `${path}: a hosted server cannot have ${foreign.join(", ")}. It may have vars, secrets and Durable Objects of its own; ` +
        "any other binding would reach into the account that Operator runs in.",
    );
  throw new ServerFolderError(`${path}: ${z.prettifyError(parsed.error)}`);
}

async function wrangle(config: string, out: string): Promise<void> {
  const cwd = dirname(config);
  const args = (await lentPackages(cwd)).flatMap((alias) => ["--alias", alias]);
  try {
    await bundleWithWrangler(config, out, { args, cwd });
  } catch (reason) {
    throw reason instanceof BundleFailure ? new ServerFolderError(reason.message, { cause: reason }) : reason;
  }
}

const Package = z.object({ dependencies: z.record(z.string(), z.string()).default({}) });

/**
 * Dependencies of a folder that are not installed there and that Operator itself has, as `name:path` for wrangler. With them a folder
 * that was just made from a template needs no `npm install` before its first deployment.
 */
async function lentPackages(folder: string): Promise<string[]> {
  const text = await readFile(join(folder, "package.json"), "utf8").catch(() => "{}"); // a server may have no package.json
  const { dependencies } = Package.parse(JSON.parse(text));
  const isInstalled = (name: string): boolean => {
    const places = createRequire(join(folder, "package.json")).resolve.paths(name) ?? [];
    return places.some((place) => existsSync(join(place, name)));
  };
  return Object.keys(dependencies).flatMap((name) => {
    if (isInstalled(name)) return [];
    try {
      return [`${name}:${fileURLToPath(import.meta.resolve(name))}`];
    } catch {
      return []; // Operator does not have it either; wrangler says that it is missing
    }
  });
}

async function modulesIn(out: string): Promise<BundledModule[]> {
  const entries = await readdir(out, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile() && entry.name !== "README.md" && !entry.name.endsWith(".map"))
    .map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(
    files.map(async (path) => {
      const name = relative(out, path);
      const type = TYPES[extname(name)];
      if (type === undefined) throw new ServerFolderError(`${name} has an ending that no module may have`);
      return { name, type, content: new Uint8Array(await readFile(path)) };
    }),
  );
}
