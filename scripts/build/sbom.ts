import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { codezPackages } from "./codez.ts";
import { REPOSITORY } from "./repository.ts";
import { cycloneDx } from "../dependencies/cyclonedx.ts";
import { packagesOf } from "../dependencies/lock-file.ts";

/** Where the two files go, unless a folder is given. Git ignores it. */
const FOLDER = `${REPOSITORY}scripts/dependencies/build`;

/** `npm run sbom [-- folder]`: a bill of materials of what `npm ci --omit=dev` installs, and of what `codez.tgz` contains. */
async function main(folder = FOLDER): Promise<void> {
  const { version } = JSON.parse(await readFile(`${REPOSITORY}package.json`, "utf8")) as { version: string };
  const packages = await packagesOf(`${REPOSITORY}package-lock.json`);
  const operator = packages.filter(({ isDev }) => !isDev);
  const codez = await codezPackages();
  await mkdir(folder, { recursive: true });
  for (const [name, components] of [
    ["operator", operator],
    ["codez", codez],
  ] as const) {
    const path = join(folder, `${name}.cdx.json`);
    await writeFile(path, `${JSON.stringify(cycloneDx({ name, version }, components), null, 2)}\n`);
    console.log(`${path}: ${components.length} packages`);
  }
}

if (import.meta.main) await main(process.argv[2]);
