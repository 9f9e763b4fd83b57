import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import * as z from "zod/mini";
import { atomicWrite } from "./atomic-write.ts";

/** What a build read and wrote, with a digest of all of it. */
const Stamp = z.object({ inputs: z.array(z.string()), outputs: z.array(z.string()), digest: z.string() });

/** Whether the build that wrote the stamp at `path` is up to date: none of its inputs or outputs has changed. */
export async function isUnchanged(path: string): Promise<boolean> {
  const text = await readFile(path, "utf8").catch(() => null); // never built here
  const noted = text === null ? null : Stamp.safeParse(JSON.parse(text));
  if (noted?.success !== true) return false;
  const { inputs, outputs, digest } = noted.data;
  return (await digestOf([...inputs, ...outputs])) === digest;
}

/** Records what a build read and wrote. Paths are absolute. */
export async function stamp(path: string, inputs: readonly string[], outputs: readonly string[]): Promise<void> {
  const sorted = [...new Set(inputs.map((input) => resolve(input)))].toSorted();
  const digest = await digestOf([...sorted, ...outputs]);
  await atomicWrite(path, JSON.stringify({ inputs: sorted, outputs, digest }));
}

async function digestOf(paths: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  const contents = await Promise.all(paths.map((path) => readFile(path).catch(() => null))); // gone: that is a change too
  for (const [index, content] of contents.entries()) {
    hash.update(`${paths[index]}\0${content === null ? "gone" : content.length}\0`);
    if (content !== null) hash.update(content);
  }
  return hash.digest("hex");
}
