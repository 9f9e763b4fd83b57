import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeWithUs } from "./reaper.ts";

/** In memory, so that a full disk keeps no process from starting, and what is written leaves no trace. */
const IN_MEMORY = "/dev/shm";

let folder: string | undefined;

/**
 * A folder of this process's own (0700), for what lives as long as it does: Unix sockets, and configurations for the
 * moment in which workerd reads them. Its path is short, because that of a socket may have 104 bytes at most.
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
      // Containers may have none, or mount it read-only: the usual place for temporary files will do.
    }
  }
  return mkdtempSync(join(tmpdir(), "operator-"));
}
