import { statfsSync } from "node:fs";

/** A folder of Linux that is kept in memory. */
const MEMORY = "/dev/shm";

/**
 * Free space that it must have. All databases of the tests that run in workerd take less than a tenth of this. Containers often have
 * 64 MiB there, which is too little. Bytes.
 */
const ROOM_BYTES = 1024 ** 3;

/**
 * Makes the folder in memory, if there is one with enough room, the one for temporary files of this process. Durable Objects of tests in
 * workerd have their databases there (Miniflare asks `os.tmpdir()`), and each of their writes waits for the disk otherwise, which takes
 * more time than the tests themselves. Answers the environment of other processes, which goes on with the usual folder: theirs may
 * need more room, or start programs from there, which a folder in memory may forbid.
 *
 * TMPDIR, if it is set, is somebody's own choice and stays.
 */
export function temporaryInMemory(): { readonly TMPDIR: string } | Record<string, never> {
  const { TMPDIR } = process.env;
  if (TMPDIR !== undefined || !hasRoom()) return {};
  process.env["TMPDIR"] = MEMORY;
  // Empty is the same as not set (os.tmpdir).
  return { TMPDIR: "" };
}

function hasRoom(): boolean {
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    return bavail * bsize >= ROOM_BYTES;
  } catch {
    return false; // there is no such folder here
  }
}
