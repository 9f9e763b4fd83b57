import { isOutOfFiles } from "./free-space.ts";
import { codezHome } from "./home.ts";

/**
 * Error codes of a disk that accepts no data: full, over quota, read-only or failing. An operation that failed with one of these
 * can be repeated later. Every other error of a file operation is a bug or a wrong setting, and must be reported.
 */
const CODES: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT", "EROFS", "EIO"]);

export function isDiskFailure(reason: unknown): reason is NodeJS.ErrnoException {
  return isFileFailure(reason) && CODES.has(reason.code);
}

/** Whether this is a system error of a file operation. */
export function isFileFailure(reason: unknown): reason is NodeJS.ErrnoException {
  return reason instanceof Error && "code" in reason && "syscall" in reason;
}

/** The failure in words for a person. That of an open file does not say where it was: `codez` writes nearly all of its files to one folder. */
export function describeDiskFailure({ code, message, path = codezHome() }: NodeJS.ErrnoException): string {
  switch (code) {
    case "ENOSPC":
      return isOutOfFiles(path) ? "the disk has no room for more files, only for bytes" : "the disk is full";
    case "EDQUOT":
      return "the disk quota is used up";
    case "EROFS":
      return "the disk is mounted read-only";
    default:
      return message;
  }
}
