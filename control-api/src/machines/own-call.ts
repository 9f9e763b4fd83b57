import { OperatorFailure } from "#protocol/error.ts";
import { textWithin } from "../http/text-within.ts";

/**
 * The largest answer to a call that Operator makes by itself, in its user's object: decisions, calls with a key, checks during a rollout. There
 * is one such object for all of a person's machines, with 128 MB, and an answer takes several times its size. `codez serve` answers
 * with a few hundred KB at most.
 */
const MAX_OWN_ANSWER_BYTES = 2 * 1024 * 1024;

/**
 * The text of a machine's answer to such a call. Throws `OperatorFailure` answer_too_large as soon as it exceeds the limit. The rest is
 * then not read, which tells the machine to stop.
 */
export async function ownAnswer(response: Response, machine: string): Promise<string> {
  const text = await textWithin(response, MAX_OWN_ANSWER_BYTES);
  if (text === null) throw new OperatorFailure({ code: "answer_too_large", machine, limitBytes: MAX_OWN_ANSWER_BYTES });
  return text;
}
