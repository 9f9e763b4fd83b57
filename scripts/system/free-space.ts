import { existsSync, statfsSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";

/** What this user can still write to a disk. */
export type FreeSpace = {
  readonly bytes: number;
  /** New files; infinity where a file system has no limit of them, as btrfs. */
  readonly files: number;
};

/** What is free on the disk of a folder. */
export async function freeSpaceOf(folder: string): Promise<FreeSpace> {
  return freeSpaceIn(await statfs(folder));
}

type Statistics = { readonly bavail: number; readonly bsize: number; readonly files: number; readonly ffree: number };

function freeSpaceIn({ bavail, bsize, files, ffree }: Statistics): FreeSpace {
  return { bytes: bavail * bsize, files: files === 0 ? Infinity : ffree };
}

/** What failed may have been removed since, and left some room: files and bytes. */
const FEW_FILES = 16;
const FEW_BYTES = 256 * 1024;

/**
 * Whether a disk that is full (ENOSPC) has bytes left, and only its files are used up: what helps then is to remove many small files, not a large one.
 * @param path on that disk; it need not be there
 */
export function isOutOfFiles(path: string): boolean {
  let folder = path;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  try {
    const { bytes, files } = freeSpaceIn(statfsSync(folder));
    return files < FEW_FILES && bytes >= FEW_BYTES;
  } catch {
    return false; // the disk cannot be asked, so nothing more is known than that it is full
  }
}
