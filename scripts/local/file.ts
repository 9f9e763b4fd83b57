import { randomUUID } from "node:crypto";
import { readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { isMissing } from "../system/is-missing.ts";
import { syncFolder, writeDurably } from "../system/durable-file.ts";

/** Only the owner may read these files: the bindings of scripts contain secrets. */
const OWNER_ONLY = 0o600;

/** Replaces a file by a rename, so a crash or a power cut leaves either the old or the new content, and once this resolves the new. */
export async function writeFileAtomically(path: string, content: string | Uint8Array): Promise<void> {
  const draft = `${path}.${randomUUID()}.tmp`;
  try {
    await writeDurably(draft, content, OWNER_ONLY);
    await rename(draft, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** Drafts of the lock belong to whoever else tries to start. */
const DRAFT = /(?<!^lock)\.json\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$/;

/** Whether a file of this name is the draft of another, a JSON file of Operator's, and was never renamed to it. */
export function isDraft(name: string): boolean {
  return DRAFT.test(name);
}

/** A file's text, or null when there is none. */
export async function readFileIfAny(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
