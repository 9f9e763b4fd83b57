import { detailsOf, mayHaveRun, type OperatorError, OperatorFailure } from "#protocol/error.ts";
import { isRecord, parseJson } from "#protocol/json.ts";
import { type CallRequest, ScriptPath } from "#protocol/script-api.ts";
import { failureIn, failureOf, isFailure } from "../machines/machine-failure.ts";
import { ownAnswer } from "../machines/own-call.ts";
import { type DispatchBindings, postToMachine } from "../machines/script-client.ts";
import type { Attempt } from "./delivery.ts";
import { ATTEMPT_MS, MAX_ANSWER_CHARACTERS, MAX_TURN_CHARACTERS } from "./limits.ts";
import type { Due } from "./outbox.ts";

/** Makes one attempt to deliver a call, which `ended` breaks off. Never throws: every failure is an outcome. */
export async function attempt(
  env: DispatchBindings,
  user: string,
  { key, machine, tool, args }: Due,
  ended: AbortSignal,
): Promise<Attempt> {
  try {
    const given = { ...(parseJson(args) as Record<string, unknown>), key };
    const params = { name: tool, arguments: given };
    const call = { method: "tools/call", params, progress: false, timeoutMs: ATTEMPT_MS } satisfies CallRequest;
    const signal = AbortSignal.any([AbortSignal.timeout(ATTEMPT_MS), ended]);
    const response = await postToMachine(env, user, machine, ScriptPath.CALL, call, signal);
    if (isFailure(response)) return away(await failureIn(response, machine));
    return outcomeOf(messageIn(await ownAnswer(response, machine)), machine);
  } catch (reason) {
    if (reason instanceof OperatorFailure) return away(reason.error);
    console.warn("an attempt to deliver a call broke off", { machine, tool, reason: String(reason) });
    return away({ code: "machine_timeout", machine, afterMs: ATTEMPT_MS });
  }
}

function outcomeOf(message: unknown, machine: string): Attempt {
  if (!isRecord(message)) return away({ code: "link_lost", machine });
  const { result, error } = message;
  if (isRecord(error)) {
    // An error of Operator's in place of the server's answer, or the server's own word that it does not take such a call.
    const ours = failureOf(error["data"], machine);
    if (ours !== null) return away(ours);
    return { outcome: "refused", answer: stored({ isError: true, content: [textOf(String(error["message"]))] }) };
  }
  if (!isRecord(result)) return away({ code: "link_lost", machine });
  if (result["isError"] === true) return { outcome: "refused", answer: stored(result) };
  const told = isRecord(result["structuredContent"]) ? result["structuredContent"] : {};
  // A machine chooses its length, and it is kept beside the answer.
  const turn = typeof told["turn_id"] === "string" ? told["turn_id"].slice(0, MAX_TURN_CHARACTERS) : null;
  // The machine was told to drop it before the agent had it.
  if (told["status"] === "dropped") return { outcome: "refused", answer: stored(result) };
  return { outcome: "delivered", answer: stored(result), turn, isTaken: told["status"] === "taken" };
}

function away(error: OperatorError): Attempt {
  return { outcome: "away", error: JSON.stringify(detailsOf(error)), mayHaveRun: mayHaveRun(error) };
}

/** What is kept of a result. A larger one is kept as the word that there was one. */
function stored(result: Record<string, unknown>): string {
  const json = JSON.stringify(result);
  if (json.length <= MAX_ANSWER_CHARACTERS) return json;
  const { isError = false } = result;
  return JSON.stringify({ isError, content: [textOf("The machine's answer was too large to be kept.")] });
}

function textOf(text: string): { type: "text"; text: string } {
  return { type: "text", text };
}

/** The JSON-RPC response in an answer, which is JSON or an event stream. */
function messageIn(text: string): unknown {
  if (text.startsWith("{")) return parseJson(text);
  const messages = text
    .split("\n")
    .flatMap((line) => (line.startsWith("data:") ? [parseJson(line.slice("data:".length))] : []));
  return messages.findLast((message) => isRecord(message) && ("result" in message || "error" in message));
}
