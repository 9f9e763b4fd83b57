import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Bytes in use below a folder, in megabytes. Files that disappear meanwhile count as nothing. */
export function diskMb(folder: string): number {
  let bytes = 0;
  for (const path of list(folder)) {
    try {
      const { blocks } = lstatSync(join(folder, path));
      bytes += blocks * 512;
    } catch {
      // It was removed between the listing and this look.
    }
  }
  return bytes / 1024 ** 2;
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: "utf8" });
  } catch {
    return []; // a folder was removed while it was listed
  }
}
