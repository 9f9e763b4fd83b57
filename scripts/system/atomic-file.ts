import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Writes a private file atomically, with mode 0600 in a folder with mode 0700. */
export function writePrivately(path: string, text: string): void {
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700); // it may be older than this rule
  const fresh = `${path}.${process.pid}.new`;
  try {
    const file = openSync(fresh, "w", 0o600);
    try {
      writeFileSync(file, text);
      fsyncSync(file); // otherwise a power cut can leave an empty file in place of the old one
    } finally {
      closeSync(file);
    }
    renameSync(fresh, path);
  } catch (reason) {
    rmSync(fresh, { force: true }); // nothing else would remove it, and a part of a secret may be in it
    throw reason;
  }
}
