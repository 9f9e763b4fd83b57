import { ERROR_HEADER } from "#protocol/error.ts";
import { isEventStream } from "#protocol/header.ts";
import { ScriptPath } from "#protocol/script-api.ts";
import * as z from "zod/mini";
import { parseJson } from "#protocol/json.ts";
import { machineState } from "../../machines/machine-state.ts";
import { ownAnswer } from "../../machines/own-call.ts";
import { type DispatchBindings, postToMachine } from "../../machines/script-client.ts";
import type { Health } from "./rollouts.ts";

/** Time limit of the call. Listing tools takes milliseconds; a server that needs longer counts as one that does not answer. */
const CALL_TIMEOUT_MS = 5_000;

/** A JSON-RPC response with a result. An error is an answer, too, but not one that says whether calls get through. */
const Listed = z.object({
  jsonrpc: z.literal("2.0"),
  result: z.object({ tools: z.array(z.object({ name: z.string() })) }),
});

/**
 * How a hosted server is. It has the template that is rolled out if it has the wrapper that belongs to it.
 * @throws as `checkMachine`
 */
export async function checkServer(
  env: DispatchBindings,
  user: string,
  name: string,
  current: { wrapper: string; template: string },
): Promise<Health> {
  const { online, wrapper = "unknown", exchanges } = await machineState(env, user, name);
  const template = wrapper === current.wrapper ? current.template : wrapper;
  return { online, template, exchanges, answers: await listsTools(env, user, name) };
}

/** How a machine is: what its script says, and whether its server lists its tools. @throws OperatorFailure if the script does not answer */
export async function checkMachine(env: DispatchBindings, user: string, name: string): Promise<Health> {
  const { online, template, exchanges } = await machineState(env, user, name);
  return { online, template, exchanges, answers: online ? await listsTools(env, user, name) : null };
}

async function listsTools(env: DispatchBindings, user: string, name: string): Promise<boolean> {
  const signal = AbortSignal.timeout(CALL_TIMEOUT_MS);
  try {
    const call = { method: "tools/list", progress: false, timeoutMs: CALL_TIMEOUT_MS };
    const response = await postToMachine(env, user, name, ScriptPath.CALL, call, signal);
    const text = await ownAnswer(response, name);
    if (!response.ok || response.headers.has(ERROR_HEADER)) return false;
    return answersIn(text, response.headers.get("content-type")).some((one) => Listed.safeParse(one).success);
  } catch {
    // The link broke, nothing came in time, or more than any list of tools has. In each case the call was not answered.
    return false;
  }
}

/** The messages of an answer, which is JSON or an event stream. */
function answersIn(text: string, type: string | null): unknown[] {
  if (!isEventStream(type)) return [parseJson(text)];
  const lines = text.split(/\r?\n/).filter((line) => line.startsWith("data:"));
  return lines.map((line) => parseJson(line.slice("data:".length)));
}
