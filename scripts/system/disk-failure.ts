/**
 * A disk that takes nothing (more): full, over its quota, read-only, or failing. What such an error interrupts can be tried
 * again later with nothing changed; every other error of a file operation is a fault to report.
 */
const CODES: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT", "EROFS", "EIO"]);

export function isDiskFailure(reason: unknown): reason is NodeJS.ErrnoException {
  return isFileFailure(reason) && CODES.has(reason.code);
}

/** Any error of the system at a file operation. */
export function isFileFailure(reason: unknown): reason is NodeJS.ErrnoException {
  return reason instanceof Error && "code" in reason && "syscall" in reason;
}

/** The failure as a person would put it. */
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
