import { Decided, type Decision, type Settlement, Undecided } from "#protocol/ask.ts";
import { type OperatorError, OperatorFailure } from "#protocol/error.ts";
import { isRecord, parseJson } from "#protocol/json.ts";
import { MAX_REASON_CHARACTERS } from "#protocol/limits.ts";
import { type CallRequest, ScriptPath } from "#protocol/script-api.ts";
import { failureIn, isFailure } from "../machines/machine-failure.ts";
import { ownAnswer } from "../machines/own-call.ts";
import { type DispatchBindings, postToMachine } from "../machines/script-client.ts";
import { bounded } from "./asked-event.ts";
import type { AcceptedDecision, InboxItem } from "./inbox-item.ts";
import { DELIVERY_TIMEOUT_MS } from "./limits.ts";

/**
 * What became of a decision at its machine.
 *
 * - `settled`: the machine says how the request is settled, by this decision or by an earlier one.
 * - `gone`: the machine knows no such request any more.
 * - `refused`: the machine does not accept the decision, and the request waits on.
 * - `away`: the machine could not be asked, or did not answer. Delivering again is harmless, since a machine settles once.
 */
export type Delivery =
  | { readonly outcome: "settled"; readonly settlement: Settlement }
  | { readonly outcome: "gone" }
  | { readonly outcome: "refused"; readonly reason: string }
  | { readonly outcome: "away"; readonly error: OperatorError };

/** Codes of a machine's answer that leave the request as it is. */
const GONE: ReadonlySet<string> = new Set(["request_unknown"]);

/** Passes a decision on to its machine. */
export async function deliver(
  env: DispatchBindings,
  user: string,
  item: InboxItem,
  decision: AcceptedDecision,
): Promise<Delivery> {
  try {
    // Nobody has shown Operator that there was a person at the client, so the machine's own rule for clients applies.
    if (decision.by.via !== "page") return await callRespond(env, user, item, decision);
    return (await postDecision(env, user, item, decision)) ?? (await callRespond(env, user, item, decision));
  } catch (reason) {
    const { machine } = item;
    if (reason instanceof OperatorFailure) return { outcome: "away", error: reason.error };
    console.warn("a decision could not be delivered", { machine, reason: String(reason) });
    return { outcome: "away", error: { code: "machine_timeout", machine, afterMs: DELIVERY_TIMEOUT_MS } };
  }
}

/** At the door for people's decisions; `null` if nothing behind the connector has one. */
async function postDecision(
  env: DispatchBindings,
  user: string,
  { machine, request }: InboxItem,
  { behavior, reason, answers, forSession, by }: AcceptedDecision,
): Promise<Delivery | null> {
  const decision: Decision = {
    request,
    behavior,
    ...(reason === undefined ? {} : { reason }),
    ...(answers === undefined ? {} : { answers }),
    ...(forSession === true ? { forSession } : {}),
    by: by.name,
  };
  const signal = AbortSignal.timeout(DELIVERY_TIMEOUT_MS);
  const response = await postToMachine(env, user, machine, ScriptPath.DECIDE, decision, signal);
  if (isFailure(response)) {
    const error = await failureIn(response, machine);
    // A script or connector of an older version has no such door.
    if (error.code === "not_found") return null;
    throw new OperatorFailure(error);
  }
  const told = parseJson(await ownAnswer(response, machine));
  if (response.ok) {
    const decided = Decided.safeParse(told);
    if (decided.success) return { outcome: "settled", settlement: bounded(decided.data.request.settled) };
    // It may have been taken. Only asking again tells.
    throw new OperatorFailure({ code: "machine_failed", machine, reason: "its answer is not one to a decision" });
  }
  const undecided = Undecided.safeParse(told).data;
  if (undecided === undefined) return null;
  const { code, error, settled = null } = undecided;
  if (settled !== null) return { outcome: "settled", settlement: bounded(settled) };
  if (code === "no_serve" || code === "not_found") return null;
  if (code === "serve_failed")
    throw new OperatorFailure({ code: "machine_failed", machine, reason: error.slice(0, MAX_REASON_CHARACTERS) });
  return GONE.has(code) ? { outcome: "gone" } : { outcome: "refused", reason: error.slice(0, MAX_REASON_CHARACTERS) };
}

/**
 * With the tool that a client would use. For a decision of a client that was allowed to, and for servers other than `codez serve`, whose own
 * rules then apply.
 */
async function callRespond(
  env: DispatchBindings,
  user: string,
  { machine, request, session }: InboxItem,
  { behavior, reason, answers }: AcceptedDecision,
): Promise<Delivery> {
  const args = {
    session_id: session,
    request_id: request,
    behavior,
    ...(reason === undefined ? {} : { reason }),
    ...(answers === undefined ? {} : { answers }),
  };
  const params = { name: "respond_permission", arguments: args };
  const call = { method: "tools/call", params, progress: false, timeoutMs: DELIVERY_TIMEOUT_MS } satisfies CallRequest;
  const signal = AbortSignal.timeout(DELIVERY_TIMEOUT_MS);
  const response = await postToMachine(env, user, machine, ScriptPath.CALL, call, signal);
  if (isFailure(response)) throw new OperatorFailure(await failureIn(response, machine));
  const result = resultIn(await ownAnswer(response, machine));
  const structured = isRecord(result) ? result["structuredContent"] : null;
  if (!isRecord(result) || result["isError"] === true) return refusalIn(structured, result);
  const settled = Decided.safeParse({ request: structured, already_settled: false }).data?.request.settled;
  // Another server's answer says no more than that it took the decision.
  const atMs = Date.now();
  return {
    outcome: "settled",
    settlement: bounded(settled ?? { behavior, by: "client", reason: reason ?? null, answers: answers ?? null, atMs }),
  };
}

function refusalIn(structured: unknown, result: unknown): Delivery {
  const error = isRecord(structured) && isRecord(structured["error"]) ? structured["error"] : {};
  const { code, message } = error;
  if (typeof code === "string" && GONE.has(code)) return { outcome: "gone" };
  if (code === "request_settled") {
    const decision = error["decision"] === "allow" ? "allow" : "deny";
    const atMs = typeof error["atMs"] === "number" ? error["atMs"] : Date.now();
    const by = typeof error["by"] === "string" ? error["by"] : "machine";
    return { outcome: "settled", settlement: bounded({ behavior: decision, by, reason: null, atMs }) };
  }
  const reason = typeof message === "string" ? message : JSON.stringify(result ?? null);
  return { outcome: "refused", reason: reason.slice(0, MAX_REASON_CHARACTERS).toWellFormed() };
}

/** The result in an answer, which is JSON or an event stream. A JSON-RPC error is a result that says so: nothing was taken then. */
function resultIn(text: string): unknown {
  const json = text.startsWith("{")
    ? text
    : (text
        .split("\n")
        .findLast((line) => line.startsWith("data:"))
        ?.slice("data:".length) ?? "null");
  const message = parseJson(json);
  if (!isRecord(message)) return null;
  const { result = null, error } = message;
  if (result !== null || !isRecord(error)) return result;
  return { isError: true, structuredContent: { error: { message: error["message"] } } };
}
