import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { NotTrusted, readTrustedFile } from "./trusted-file.ts";

/**
 * The parsed content of one of our files, or `undefined` when there is no such file. Throws on content that is not JSON, and NotTrusted if
 * somebody else could have written it: these files say with which permissions a session goes on, and what was done already.
 */
export async function readJson(path: string): Promise<unknown> {
  try {
    const text = readTrustedFile(path);
    return text === null ? undefined : JSON.parse(text);
  } catch (error) {
    throw error instanceof NotTrusted ? new NotTrusted(`${path} is not used: ${error.message}`) : error;
  }
}

/**
 * Replaces a file atomically: a reader, also after a crash at any moment, sees either the old or the new content. Only the owner
 * can read it, because serve's files may contain text of sessions.
 */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomUUID()}`;
  try {
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(`${JSON.stringify(value, null, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** What `writeJson` calls a draft of a file. */
const DRAFT = /\.json\.[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/;

/** Removes the drafts that a process left in a folder because it was killed while it wrote. Nothing else may be writing there. */
export async function removeDrafts(folder: string): Promise<void> {
  const drafts = (await readdir(folder)).filter((name) => DRAFT.test(name));
  await Promise.all(drafts.map((name) => rm(join(folder, name), { force: true })));
}
