import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod/mini";

const Manifest = z.object({ name: z.string(), version: z.string(), license: z.string() });

/** Names of files with licence texts, which must be passed on with a copy. */
const LEGAL = /^(licen[cs]e|notice|copying)\b/i;

/** The package that a bundled file is from, however deep it is nested: its folder. */
const PACKAGE = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/;

/** The folders of the packages from which a bundle contains code. */
export function foldersIn(inputs: readonly string[]): string[] {
  return [...new Set(inputs.flatMap((path) => PACKAGE.exec(path)?.[0] ?? []))].toSorted();
}

/**
 * The licence texts of all packages of which a bundle contains code. The licences require this of every copy, and a bundle is one.
 * @param inputs the bundled files' paths below `root`, as esbuild's metafile has them
 * @throws Error naming a package without a licence file
 */
export async function noticesOf(inputs: readonly string[], root: string): Promise<string> {
  const notices = await Promise.all(foldersIn(inputs).map((folder) => noticeOf(join(root, folder))));
  return ["codez contains parts of these packages, under their own licences.", ...new Set(notices)].join(
    `\n\n${"=".repeat(80)}\n\n`,
  );
}

async function noticeOf(folder: string): Promise<string> {
  const manifest = Manifest.parse(JSON.parse(await readFile(join(folder, "package.json"), "utf8")));
  const files = (await readdir(folder)).filter((file) => LEGAL.test(file)).toSorted();
  if (files.length === 0) throw new Error(`${folder} has no licence file: what is bundled must come with its licence`);
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
  return [`${manifest.name} ${manifest.version} (${manifest.license})`, ...texts.map((text) => text.trim())].join(
    "\n\n",
  );
}
