import { open } from "node:fs/promises";

/**
 * Writes a file and waits until its content is on the disk. Without this, a power cut can leave a file that exists and is empty,
 * even if it was renamed, and named by another file, minutes before.
 */
export async function writeDurably(path: string, content: string | Uint8Array, mode = 0o666): Promise<void> {
  await using file = await open(path, "w", mode);
  await file.writeFile(content);
  await file.sync();
}

/** Waits until the names in a folder are on the disk: those of files that were created, renamed or removed there. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return; // folders cannot be opened there
  await using folder = await open(path, "r");
  await folder.sync().catch((error: unknown) => {
    // Some network file systems cannot do this for folders (fsync(2)). They write names at once, or not at all.
    if (!(error instanceof Error && "code" in error && error.code === "EINVAL")) throw error;
  });
}
