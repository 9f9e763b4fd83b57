import { ServeExitCode } from "../serve/index.ts";
import { ExitCode } from "./exit-code.ts";

/** The numbers of `codez` itself, and those that `codez serve` adds. */
export type AnyExitCode = ExitCode | (typeof ServeExitCode)[keyof typeof ServeExitCode];

/** A failure that a person can do something about: what happened, and what to run. */
export class CodezFailure extends Error {
  override readonly name = "CodezFailure";
  readonly exitCode: AnyExitCode;
  /** What to do, as a sentence or a command. */
  readonly fix: string;

  constructor(exitCode: AnyExitCode, message: string, fix: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
    this.fix = fix;
  }
}

/** The name of an exit code, for `--json`. */
export function nameOf(exitCode: AnyExitCode): string {
  const [name = "unexpected"] =
    Object.entries({ ...ServeExitCode, ...ExitCode }).find(([, code]) => code === exitCode) ?? [];
  return name.toLowerCase();
}
