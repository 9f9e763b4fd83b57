import { sep } from "node:path";

/** Whether a path is the folder itself or below it. Both must be real paths, with links resolved. */
export function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}
