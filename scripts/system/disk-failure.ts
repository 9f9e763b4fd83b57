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

/** The failure in words for a person. */
export function describeDiskFailure({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case "ENOSPC":
      return "the disk is full";
    case "EDQUOT":
      return "the disk quota is used up";
    case "EROFS":
      return "the disk is mounted read-only";
    default:
      return message;
  }
}
