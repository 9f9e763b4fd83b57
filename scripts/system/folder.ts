import { sep } from "node:path";

/** Whether a path is a folder itself or lies below it. Both are real paths: links are resolved. */
export function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}
