import * as z from "zod/mini";
import { OperatorFailure } from "#protocol/error.ts";
import { isEventStream } from "#protocol/header.ts";
import { type CallRequest, ScriptPath } from "#protocol/script-api.ts";
import { parseJson } from "#protocol/json.ts";
import type { Env } from "../env.ts";
import { postToMachine } from "../machines/script-client.ts";
import { failureIn, failureOf, isFailure } from "../machines/machine-failure.ts";
import { FROZEN_AFTER_MS, type Look, lookAt, ScriptWatch } from "../machines/script-watch.ts";
import { registryOf } from "../user/user-rpc.ts";
import { type HeldAnswers, largeAnswers } from "../http/large-answers.ts";
import { answerText, eventsWithin, type Reading } from "./bounded-answer.ts";

/** A call fails when the machine sends nothing for this long. Every progress notification restarts the timer. */
const SILENCE_MS = 10 * 60_000;

const Message = z.object({
  id: z.optional(z.union([z.string(), z.number(), z.null()])),
  method: z.optional(z.string()),
  params: z.optional(z.record(z.string(), z.unknown())),
  result: z.optional(z.record(z.string(), z.unknown())),
  error: z.optional(z.object({ code: z.number(), message: z.string(), data: z.optional(z.unknown()) })),
});
type Message = z.infer<typeof Message>;

/** What a machine's MCP server answered: its result, or its own JSON-RPC error. */
export type Answer = { result: Record<string, unknown> } | { error: { code: number; message: string; data?: unknown } };

/** Receives progress and other notifications that arrive before the answer. */
export type OnNotification = (method: string, params: Record<string, unknown>) => Promise<void>;

/** How much of an answer is read, and where it is counted; without `held`, until the call has ended. */
export type AnswerLimits = { readonly limitBytes?: number; readonly held?: HeldAnswers };

/** Sends one request to a machine's MCP server. Throws `OperatorFailure` when the server itself gave no answer. */
export async function callMachine(
  env: Env,
  user: string,
  machine: string,
  call: Omit<CallRequest, "timeoutMs">,
  signal: AbortSignal,
  onNotification: OnNotification,
  { limitBytes, held }: AnswerLimits = {},
): Promise<Answer> {
  const silence = new Silence(signal, lookAt(env, user, machine));
  const counted = held ?? largeAnswers.of(user);
  const release = (): void => {
    if (held === undefined) counted.release();
  };
  signal.addEventListener("abort", release, { once: true });
  try {
    const request = { ...call, timeoutMs: SILENCE_MS } satisfies CallRequest;
    const response = await postToMachine(env, user, machine, ScriptPath.CALL, request, silence.signal);
    if (isFailure(response)) throw new OperatorFailure(await failureIn(response, machine));
    const onBefore: OnNotification = async (method, params) => {
      silence.broken();
      await onNotification(method, params);
    };
    const reading = { machine, held: counted, ...(limitBytes === undefined ? {} : { limitBytes }) };
    return await answerIn(response, reading, onBefore);
  } catch (reason) {
    if (reason instanceof OperatorFailure) throw reason;
    // The answer broke off or the script failed. In both cases the call may have been carried out.
    const { endedAfterMs } = silence;
    if (endedAfterMs === FROZEN_AFTER_MS) await registryOf(env, user).doubt(machine);
    throw new OperatorFailure(
      endedAfterMs === null
        ? { code: "link_lost", machine }
        : { code: "machine_timeout", machine, afterMs: endedAfterMs },
    );
  } finally {
    silence.end();
    signal.removeEventListener("abort", release);
    release();
  }
}

/**
 * Aborts a call when its caller goes away, when the machine has been silent for `SILENCE_MS`, or when the script has stopped.
 *
 * A sign of life only moves the time at which the timer looks again. The runtime keeps something of each timer until the request ends, also of
 * one that was cleared: a machine that sends a million notifications must not cost a million timers.
 */
class Silence {
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal;
  readonly #abort = (): void => this.#controller.abort(this.#caller.reason);
  readonly #watch: ScriptWatch;
  #heardMs = Date.now();
  #timer: ReturnType<typeof setTimeout>;
  /** The time after which it aborted the call for silence; `null` if it has not. */
  endedAfterMs: number | null = null;

  constructor(caller: AbortSignal, look: Look) {
    this.#caller = caller;
    caller.addEventListener("abort", this.#abort, { once: true });
    this.#timer = this.#wait(SILENCE_MS);
    this.#watch = new ScriptWatch(look, () => this.#giveUp(FROZEN_AFTER_MS));
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  broken(): void {
    this.#heardMs = Date.now();
    this.#watch.heard();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#watch.end();
    this.#caller.removeEventListener("abort", this.#abort);
  }

  #wait(ms: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      const leftMs = this.#heardMs + SILENCE_MS - Date.now();
      if (leftMs > 0) this.#timer = this.#wait(leftMs);
      else this.#giveUp(SILENCE_MS);
    }, ms);
  }

  #giveUp(afterMs: number): void {
    this.endedAfterMs = afterMs;
    this.#controller.abort();
  }
}

async function answerIn(response: Response, reading: Reading, onNotification: OnNotification): Promise<Answer> {
  const { machine } = reading;
  if (!isEventStream(response.headers.get("content-type"))) {
    const answer = answerOf(messageIn(await answerText(response, reading)), machine);
    if (answer !== null) return answer;
    throw new OperatorFailure({
      code: "machine_failed",
      machine,
      reason: `its MCP server answered HTTP ${response.status} without a JSON-RPC response`,
      mayHaveRun: true,
    });
  }
  for await (const data of eventsWithin(response, reading)) {
    const message = messageIn(data);
    const answer = answerOf(message, machine);
    if (answer !== null) return answer;
    if (message?.method !== undefined && message.id === undefined)
      await onNotification(message.method, message.params ?? {});
  }
  throw new OperatorFailure({ code: "link_lost", machine });
}

function answerOf(message: Message | undefined, machine: string): Answer | null {
  if (message?.result !== undefined) return { result: message.result };
  if (message?.error === undefined) return null;
  // An error of Operator's in place of the server's answer: from the connector, or at the end of a stream that was cut off.
  const failure = failureOf(message.error.data, machine);
  if (failure !== null) throw new OperatorFailure(failure);
  return { error: message.error };
}

function messageIn(text: string): Message | undefined {
  return Message.safeParse(parseJson(text)).data;
}
