import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { atomicWrite } from "./atomic-write.ts";
import { cycloneDx } from "../dependencies/cyclonedx.ts";
import { type Package, packagesOf } from "../dependencies/lock-file.ts";
import { BANNER } from "./node-bundle.ts";
import { foldersIn, noticesOf } from "./notices.ts";
import { CONTROL_BUILD, REPOSITORY } from "./repository.ts";
import { tarball } from "./tarball.ts";
import { isUnchanged, stamp } from "./unchanged.ts";

/** Where the results are. */
const OUTPUT = {
  stamp: `${REPOSITORY}scripts/codez/build/inputs.json`,
  bundle: `${REPOSITORY}scripts/codez/build/codez.js`,
  tarball: `${CONTROL_BUILD}/codez.tgz`,
};

/** The sources of this build program. They count as inputs, because changing them changes the output. */
const OWN_SOURCES = [
  "scripts/build/codez.ts",
  "scripts/build/node-bundle.ts",
  "scripts/build/notices.ts",
  "scripts/build/tarball.ts",
  "scripts/dependencies/cyclonedx.ts",
  "scripts/dependencies/lock-file.ts",
];

/** Stands for the hash of the code while the code is hashed: `codez --version` tells the build, like the tarball's manifest. */
const BUILD_MARK = "@codez-build@";

/**
 * `codez` as one JavaScript file without dependencies, good from Node 20 on: where this clone's `npx codez` finds it, and as
 * the tarball that every Operator serves (`npx -y https://<operator>/codez.tgz`).
 */
export async function buildCodez(output = OUTPUT): Promise<void> {
  if (await isUnchanged(output.stamp)) return;
  const manifestOfAll = JSON.parse(await readFile(`${REPOSITORY}package.json`, "utf8")) as { version: string };
  const { outputFiles, metafile } = await bundle(manifestOfAll.version);
  const marked = outputFiles[0]?.text;
  if (marked === undefined) throw new Error("esbuild wrote nothing");
  const hash = createHash("sha256").update(marked).digest("hex").slice(0, 8);
  const code = marked.replaceAll(BUILD_MARK, hash);
  const manifest = {
    name: "codez",
    version: `${manifestOfAll.version}-${hash}`,
    description: "Connects this machine to an Operator",
    license: "MIT",
    type: "module",
    engines: { node: ">=20" },
    bin: { codez: "bin.js" },
  };
  const launcher = await readFile(`${REPOSITORY}scripts/codez/bin.js`);
  const notices = await noticesOf("codez", Object.keys(metafile.inputs), REPOSITORY);
  const bundled = await bundledPackages(Object.keys(metafile.inputs));
  const sbom = cycloneDx({ name: manifest.name, version: manifest.version }, bundled);
  const files = [
    { path: "package/package.json", mode: 0o644, content: Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`) },
    { path: "package/bin.js", mode: 0o755, content: launcher },
    { path: "package/build/codez.js", mode: 0o644, content: Buffer.from(code) },
    { path: "package/LICENSE", mode: 0o644, content: await readFile(`${REPOSITORY}LICENSE`) },
    { path: "package/sbom.cdx.json", mode: 0o644, content: Buffer.from(`${JSON.stringify(sbom, null, 2)}\n`) },
    { path: "package/THIRD-PARTY-NOTICES", mode: 0o644, content: Buffer.from(`${notices}\n`) },
  ];
  await atomicWrite(output.bundle, code);
  await atomicWrite(output.tarball, gzipSync(tarball(files), { level: 9 }));
  const others = ["package.json", "package-lock.json", "LICENSE", "scripts/codez/bin.js", ...OWN_SOURCES];
  const inputs = [...Object.keys(metafile.inputs), ...others].map((path) => REPOSITORY + path);
  await stamp(output.stamp, inputs, [output.bundle, output.tarball]);
}

/** The bundle, and what went into it. Writes nothing. */
async function bundle(version = "") {
  return build({
    entryPoints: [`${REPOSITORY}scripts/codez/main.ts`],
    absWorkingDir: REPOSITORY,
    bundle: true,
    write: false,
    platform: "node",
    target: "node20",
    format: "esm",
    minifySyntax: true,
    legalComments: "eof",
    banner: { js: BANNER },
    // `ws` asks for this native package if it is there; the bundle brings what the connector needs of it.
    alias: { bufferutil: "./scripts/connector/websocket-mask.ts" },
    define: { CODEZ_VERSION: JSON.stringify(`${version}-${BUILD_MARK}`) },
    metafile: true,
    logLevel: "warning",
  });
}

/** The packages of which the built `codez` contains code. */
export async function codezPackages(): Promise<Package[]> {
  const { metafile } = await bundle();
  return bundledPackages(Object.keys(metafile.inputs));
}

async function bundledPackages(inputs: readonly string[]): Promise<Package[]> {
  const folders = new Set(foldersIn(inputs));
  return (await packagesOf(`${REPOSITORY}package-lock.json`)).filter(({ folder }) => folders.has(folder));
}
