import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod/mini";

const Manifest = z.object({ name: z.string(), version: z.string(), license: z.string() });

/** Names of files with licence texts, which must be passed on with a copy. */
const LEGAL = /^(licen[cs]e|notice|copying)\b/i;

/** From the README's heading on, if what follows is a licence in full. */
const LICENCE_SECTION = /^#* *licen[cs]e\b[^]*Permission is hereby granted[^]*$/im;

/** The package that a bundled file is from, however deep it is nested: its folder. */
const PACKAGE = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/;

/** The folders of the packages from which a bundle contains code. */
export function foldersIn(inputs: readonly string[]): string[] {
  return [...new Set(inputs.flatMap((path) => PACKAGE.exec(path)?.[0] ?? []))].toSorted();
}

/**
 * The licence texts of all packages of which a bundle contains code. The licences require this of every copy, and a bundle is one.
 * @param program what contains them
 * @param inputs the bundled files' paths below `root`, as esbuild's metafile has them
 * @throws Error naming a package without a licence text
 */
export async function noticesOf(program: string, inputs: readonly string[], root: string): Promise<string> {
  const notices = await Promise.all(foldersIn(inputs).map((folder) => noticeOf(join(root, folder))));
  return [`${program} contains parts of these packages, under their own licences.`, ...new Set(notices)].join(
    `\n\n${"=".repeat(80)}\n\n`,
  );
}

async function noticeOf(folder: string): Promise<string> {
  const manifest = Manifest.parse(JSON.parse(await readFile(join(folder, "package.json"), "utf8")));
  const texts = await textsOf(folder, manifest.name);
  if (texts.length === 0) throw new Error(`${folder} has no licence text: what is bundled must come with its licence`);
  const licence = manifest.license.replace(/^\((.*)\)$/, "$1"); // SPDX puts a choice of licences in brackets of its own
  return [`${manifest.name} ${manifest.version} (${licence})`, ...texts.map((text) => text.trim())].join("\n\n");
}

/** A package's licence texts: its own files, the end of its README, or for one that has neither, the text of its repository. */
async function textsOf(folder: string, name: string): Promise<string[]> {
  const files = await readdir(folder);
  const legal = files.filter((file) => LEGAL.test(file)).toSorted();
  if (legal.length > 0) return Promise.all(legal.map((file) => readFile(join(folder, file), "utf8")));
  const readme = files.find((file) => /^readme\b/i.test(file));
  const section = readme === undefined ? [] : LICENCE_SECTION.exec(await readFile(join(folder, readme), "utf8"));
  if (section?.[0] !== undefined) return [section[0]];
  // Kept here, because the package itself comes with none: `licences/<package>.txt`.
  const kept = new URL(`licences/${name.replaceAll("/", "-")}.txt`, import.meta.url);
  return existsSync(kept) ? [await readFile(kept, "utf8")] : [];
}
