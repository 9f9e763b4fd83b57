import { OperatorFailure, detailsOf } from "#protocol/error.ts";
import { parseJson } from "#protocol/json.ts";
import type { Env } from "../env.ts";
import type { IndexedCost } from "../history/session-index.ts";
import { type Caller, sees } from "../http/caller.ts";
import type { MachineEntry } from "../machines/machine-query.ts";
import { runTool } from "../mcp/tools/tools.ts";
import { registryOf } from "../user/user-rpc.ts";
import { type Costs, costsOf, type MachineUsage, usageIn } from "./usage.ts";

/** Machines that are asked for one answer. Each is a subrequest, of which a Worker has 1,000, and few have as many machines. */
const MAX_ASKED = 200;

/** Machines that are asked at the same time. */
const ASKED_AT_ONCE = 16;

/** How long a page or a program waits for all of them. A machine that has to bring its index up to date needs seconds. Milliseconds. */
const WAIT_MS = 10_000;

/** A machine's answer has at most a thousand rows of some 250 bytes. */
const ANSWER_BYTES = 1024 * 1024;

const DAY_MS = 24 * 60 * 60_000;

/**
 * What the sessions of all machines used and cost, as their own `codez serve` worked it out: per day, machine and project. Machines
 * that did not answer are named, with what the index of sessions knows of them, apart from the sums.
 */
export async function readCosts(env: Env, caller: Caller, days: number, signal: AbortSignal): Promise<Costs> {
  const entries: MachineEntry[] = await registryOf(env, caller.user).machineEntries();
  const visible = entries.filter((entry) => sees(caller, entry));
  const online = visible.filter(({ online: isOnline }) => isOnline);
  const away = visible
    .filter(({ online: isOnline }) => !isOnline)
    .map(({ name }) => ({ machine: name, why: "offline" }));
  const beyond = online.slice(MAX_ASKED).map(({ name }) => ({ machine: name, why: "not asked" }));
  const waits = AbortSignal.any([signal, AbortSignal.timeout(WAIT_MS)]);
  const answers: (MachineUsage | { readonly machine: string; readonly why: string } | null)[] = [];
  const queue = online.slice(0, MAX_ASKED).values();
  // Each takes the next machine when it is done with one, so a slow machine holds up none of the others.
  const worker = async (): Promise<void> => {
    for (const { name } of queue) answers.push(await ask(env, caller, name, days, waits));
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, worker));
  const told = answers.filter((one) => one !== null);
  const indexed: IndexedCost[] = await registryOf(env, caller.user).indexedCosts(Date.now() - days * DAY_MS);
  return costsOf(
    days,
    told.flatMap((one) => ("why" in one ? [] : [one])),
    [...told.flatMap((one) => ("why" in one ? [one] : [])), ...beyond, ...away],
    indexed,
  );
}

/** `null` for a machine that has no such tool: it runs no coding sessions. */
async function ask(
  env: Env,
  caller: Caller,
  machine: string,
  days: number,
  signal: AbortSignal,
): Promise<MachineUsage | { readonly machine: string; readonly why: string } | null> {
  try {
    const { isError, structuredContent, content } = await runTool({
      env,
      caller,
      digest: () => null,
      name: "get_observability",
      args: { machineId: machine, days },
      meta: undefined,
      progress: false,
      signal,
      onNotification: () => Promise.resolve(),
      answerBytes: ANSWER_BYTES,
    });
    const [first] = Array.isArray(content) ? content : [];
    const told: unknown = structuredContent ?? (first?.type === "text" ? parseJson(first.text) : null);
    if (isError !== true) return usageIn(machine, told);
    return codeIn(told) === "tool_unknown"
      ? null
      : { machine, why: signal.aborted ? "did not answer in time" : "failed" };
  } catch (reason) {
    if (signal.aborted) return { machine, why: "did not answer in time" };
    const why = reason instanceof OperatorFailure ? detailsOf(reason.error).code : "failed";
    return { machine, why };
  }
}

function codeIn(told: unknown): unknown {
  const error = typeof told === "object" && told !== null && "error" in told ? told.error : null;
  return typeof error === "object" && error !== null && "code" in error ? error.code : null;
}
