import { statfs } from "node:fs/promises";

/** What this user can still write to a disk. */
export type FreeSpace = {
  readonly bytes: number;
  /** New files; infinity where a file system has no limit of them, as btrfs. */
  readonly files: number;
};

/** What is free on the disk of a folder. */
export async function freeSpaceOf(folder: string): Promise<FreeSpace> {
  const { bavail, bsize, files, ffree } = await statfs(folder);
  return { bytes: bavail * bsize, files: files === 0 ? Infinity : ffree };
}
