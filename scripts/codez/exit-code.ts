/** Exit codes of `codez`. Scripts and service managers depend on them, so a number is never reused for something else. */
export const ExitCode = {
  OK: 0,
  /** An unexpected failure. */
  UNEXPECTED: 1,
  /** The command line is wrong. */
  USAGE: 2,
  /** Operator cannot be reached. */
  HUB_UNREACHABLE: 3,
  /** Operator requires a valid token, or a question needs an answer, and there is no terminal for a person. */
  NOT_SIGNED_IN: 4,
  /** The name belongs to another machine. */
  NAME_TAKEN: 5,
  /** This computer has no such machine set up. */
  NOT_SET_UP: 6,
  /** Another connector for this machine runs on this computer. */
  ALREADY_CONNECTED: 7,
  /** The machine was removed, or its token rotated elsewhere. */
  REVOKED: 8,
  /** A connector on another computer took over. */
  REPLACED: 9,
  /** This `codez` and its Operator speak different protocols: one of the two is too old. */
  TOO_OLD: 10,
  /** The command did its work, but the machine is not online. */
  NOT_ONLINE: 11,
  /** Operator has no such machine. */
  MACHINE_UNKNOWN: 12,
  /** A file of `codez` cannot be read or is invalid. */
  FILE_BROKEN: 13,
  /** The service could not be installed or removed. */
  SERVICE_FAILED: 14,
  /** Operator refused the request and said why. */
  REFUSED: 15,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Exit codes after which a service manager must not restart `codez`, because it would end the same way. */
export const FINAL_EXIT_CODES: readonly ExitCode[] = [
  ExitCode.USAGE,
  ExitCode.NOT_SET_UP,
  ExitCode.ALREADY_CONNECTED,
  ExitCode.REVOKED,
  ExitCode.REPLACED,
  ExitCode.TOO_OLD,
  ExitCode.FILE_BROKEN,
];
