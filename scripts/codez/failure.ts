import { ExitCode } from "./exit-code.ts";

/** A failure that a person can do something about: what happened, and what to run. */
export class CodezFailure extends Error {
  override readonly name = "CodezFailure";
  readonly exitCode: ExitCode;
  /** What to do, as a sentence or a command. */
  readonly fix: string;

  constructor(exitCode: ExitCode, message: string, fix: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
    this.fix = fix;
  }
}

/** The name of an exit code, for `--json`. */
export function nameOf(exitCode: ExitCode): string {
  const [name = "unexpected"] = Object.entries(ExitCode).find(([, code]) => code === exitCode) ?? [];
  return name.toLowerCase();
}
