import { confirm, isCancel } from "@clack/prompts";
import { ExitCode } from "./exit-code.ts";
import { CodezFailure } from "./failure.ts";

/** Whether a person can read a question and answer it. */
export function isTerminal(): boolean {
  return process.stdin.isTTY && process.stdout.isTTY;
}

/**
 * Asks before something that cannot be undone. `yes`: the person has said so on the command line. Where nobody can answer, it
 * does not wait: it throws `CodezFailure` with the command that would do it.
 */
export async function isSure(question: string, { yes, json }: Asked, command: string): Promise<boolean> {
  if (yes === true) return true;
  if (json === true || !isTerminal())
    throw new CodezFailure(ExitCode.NOT_SIGNED_IN, `${question} There is no terminal to ask.`, `To do it: ${command}`);
  const answer = await confirm({ message: question, initialValue: false });
  return !isCancel(answer) && answer;
}

type Asked = { readonly yes?: boolean; readonly json?: boolean };
