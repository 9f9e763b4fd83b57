import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeWithUs } from "./reaper.ts";

/** A file system in memory: a full disk does not prevent a start, and secrets in configurations never reach a disk. */
const IN_MEMORY = "/dev/shm";

let folder: string | undefined;

/**
 * A private folder (0700) that exists as long as this process. It holds Unix sockets, and configurations while workerd
 * reads them. Its path is short because macOS limits the path of a Unix socket to 104 bytes (Linux to 108).
 */
export function runtimeFolder(): string {
  if (folder !== undefined) return folder;
  folder = make();
  removeWithUs(folder);
  const path = folder;
  process.once("exit", () => rmSync(path, { recursive: true, force: true }));
  return folder;
}

function make(): string {
  if (process.platform === "linux") {
    try {
      return mkdtempSync(join(IN_MEMORY, "operator-"));
    } catch {
      // Some containers have no /dev/shm, or a read-only one: use the ordinary temporary folder.
    }
  }
  return mkdtempSync(join(tmpdir(), "operator-"));
}
