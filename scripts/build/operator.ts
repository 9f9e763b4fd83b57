import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { build, transform } from "esbuild";
import { cycloneDx } from "../dependencies/cyclonedx.ts";
import { type Package, packagesOf } from "../dependencies/lock-file.ts";
import { bundledFiles } from "../local/bundle.ts";
import { packedPath, WORKER_SOURCES, workerSource } from "../local/dispatch-binding/source.ts";
import { kvFiles } from "../local/workerd/kv.ts";
import { bundleWorkers, PACKED_BUNDLES } from "../local/workers.ts";
import { atomicWrite } from "./atomic-write.ts";
import { filesBelow } from "./files-below.ts";
import { foldersIn, noticesOf } from "./notices.ts";
import { BANNER } from "./node-bundle.ts";
import { REPOSITORY } from "./repository.ts";
import { type TarFile, tarball } from "./tarball.ts";

/** Where the tarball and its digest go. Git ignores it. */
const OPERATOR_BUILD = join(REPOSITORY, "scripts/operator/build");
const BUNDLES = join(OPERATOR_BUILD, "bundles");

const WORKERS = ["control-api", "dispatch-worker"] as const;

/** Files of the repository that the program reads at the same paths below its own folder (scripts/local/program.ts). */
const COPIED = [
  "LICENSE",
  ...WORKERS.map((worker) => `${worker}/wrangler.jsonc`),
  "control-api/build/machine.version.txt",
  "scripts/operator/operator.service",
];
const TEMPLATES = "scripts/operator/templates";

/** Part of every program that the package has, but not bundled: it is found at run time, or brings a native program. */
const EXTERNAL = ["esbuild", "workerd", "wrangler", "miniflare"];

/**
 * Builds `operator.tgz`: Operator for a computer of one's own, without a clone. One JavaScript file with the Workers bundled in
 * advance, and workerd as its only dependency. Needs the output of the other builds, because the control API embeds it.
 * @returns the tarball's path
 */
export async function buildOperator(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(REPOSITORY, "package.json"), "utf8")) as { version: string };
  const { code, inputs } = await bundleProgram();
  await bundleWorkers(REPOSITORY, BUNDLES);
  const inputsOfWorkers = await Promise.all(
    WORKERS.map((worker) => bundledFiles(join(REPOSITORY, worker, "wrangler.jsonc"), join(BUNDLES, worker))),
  );
  const kv = kvFiles();
  const contained = [...inputs, ...inputsOfWorkers.flat(), ...kv.map(({ path }) => path)].map((path) =>
    relative(REPOSITORY, path),
  );
  const manifest = {
    name: "operator",
    version,
    description: "One MCP endpoint, every machine",
    license: "MIT",
    type: "module",
    engines: { node: ">=24" },
    bin: { operator: "bin.js" },
    dependencies: { workerd: versionOf("workerd") },
  };
  const shipped = await packagesIn(contained);
  const sbom = cycloneDx({ name: manifest.name, version }, shipped);
  const files: TarFile[] = [
    text("package.json", `${JSON.stringify(manifest, null, 2)}\n`),
    { ...(await copied("scripts/operator/packed-bin.js")), path: "package/bin.js", mode: 0o755 },
    text("build/operator.js", code),
    ...WORKER_SOURCES.map((file) => text(packedPath(file), workerSource(file))),
    ...(await Promise.all(kv.map(async ({ path, packed }) => file_(packed, await readFile(path))))),
    ...(await bundlesOf()),
    ...(await Promise.all(COPIED.map(copied))),
    ...(await Promise.all(
      (await filesBelow(join(REPOSITORY, TEMPLATES))).map((path) => copied(join(TEMPLATES, path))),
    )),
    text("sbom.cdx.json", `${JSON.stringify(sbom, null, 2)}\n`),
    text("THIRD-PARTY-NOTICES", `${await noticesOf("operator", contained, REPOSITORY)}\n`),
  ];
  const bytes = gzipSync(tarball(files), { level: 9 });
  const path = join(OPERATOR_BUILD, "operator.tgz");
  await atomicWrite(path, bytes);
  // In the form that `sha256sum --check` reads.
  await atomicWrite(`${path}.sha256`, `${createHash("sha256").update(bytes).digest("hex")}  operator.tgz\n`);
  return path;
}

/** The packages of which the built `operator` contains code, the Workers' included, and those that it depends on. */
async function packagesIn(inputs: readonly string[]): Promise<Package[]> {
  const folders = new Set(foldersIn(inputs));
  return (await packagesOf(join(REPOSITORY, "package-lock.json"))).filter(({ folder }) => folders.has(folder));
}

async function bundleProgram(): Promise<{ code: string; inputs: string[] }> {
  const { outputFiles, metafile } = await build({
    entryPoints: [join(REPOSITORY, "scripts/operator/main.ts")],
    absWorkingDir: REPOSITORY,
    bundle: true,
    write: false,
    platform: "node",
    target: "node24",
    format: "esm",
    minifySyntax: true,
    legalComments: "eof",
    banner: { js: BANNER },
    define: { OPERATOR_IS_PACKED: "true" },
    external: EXTERNAL,
    metafile: true,
    logLevel: "warning",
  });
  const [output] = outputFiles;
  if (output === undefined) throw new Error("esbuild wrote nothing");
  return { code: output.text, inputs: Object.keys(metafile.inputs).map((path) => join(REPOSITORY, path)) };
}

/** The modules of the Workers, without what Wrangler writes beside them. */
async function bundlesOf(): Promise<TarFile[]> {
  const isModule = (path: string): boolean =>
    !path.endsWith(".map") && !/(?:^|\/)(?:README\.md|bundle-meta\.json|inputs\.sha256)$/.test(path);
  const paths = (await filesBelow(BUNDLES)).filter(isModule);
  return Promise.all(
    paths.map(async (path) => {
      const content = await readFile(join(BUNDLES, path));
      return file_(`${PACKED_BUNDLES}/${path}`, path.endsWith(".js") ? await compact(content) : content);
    }),
  );
}

/**
 * The same module in less text. workerd keeps the text in memory, and twice as much of it if a single character is not ASCII:
 * together this is 10 MB.
 */
async function compact(module: Buffer): Promise<Buffer> {
  const { code } = await transform(module, { minify: true, charset: "ascii", format: "esm", target: "es2024" });
  return Buffer.from(code);
}

function versionOf(name: string): string {
  const manifest = createRequire(import.meta.url)(`${name}/package.json`) as { version: string };
  return manifest.version;
}

async function copied(path: string): Promise<TarFile> {
  return file_(path, await readFile(join(REPOSITORY, path)));
}

function text(path: string, content: string): TarFile {
  return file_(path, Buffer.from(content));
}

function file_(path: string, content: Buffer): TarFile {
  return { path: `package/${path}`, mode: 0o644, content };
}
