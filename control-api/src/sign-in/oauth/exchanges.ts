import type { Env } from "../../env.ts";
import { hashOf } from "../secret.ts";
import { askLibrary, type Exchange, type ExchangeAnswer } from "./exchange.ts";

/**
 * A client whose refresh got lost, or that has two processes with one token, asks again with the same token: within this
 * time it gets the same answer, so that no process is left with tokens that the other's refresh has made void. Milliseconds.
 */
const AGAIN_MS = 30_000;

type Answered = { answer: Promise<ExchangeAnswer>; untilMs: number };

/**
 * One user's exchanges of codes and refresh tokens, one at a time for each grant: KV cannot say "only if it has not
 * changed", so without this one code could be redeemed twice at the same moment.
 */
export class Exchanges {
  readonly #env: Env;
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #answered = new Map<string, Answered>();

  constructor(env: Env) {
    this.#env = env;
  }

  async run(exchange: Exchange): Promise<ExchangeAnswer> {
    if (new URLSearchParams(exchange.body).get("grant_type") !== "refresh_token") return this.#inTurn(exchange);
    const nowMs = Date.now();
    for (const [key, { untilMs }] of this.#answered) if (untilMs <= nowMs) this.#answered.delete(key);
    const key = await hashOf(`${exchange.authorization}\n${exchange.body}`);
    const known = this.#answered.get(key);
    if (known !== undefined) return known.answer;
    const answer = this.#inTurn(exchange);
    this.#answered.set(key, { answer, untilMs: nowMs + AGAIN_MS });
    const forget = (): void => void this.#answered.delete(key);
    answer.then(({ status }) => (status === 200 ? undefined : forget()), forget);
    return answer;
  }

  #inTurn(exchange: Exchange): Promise<ExchangeAnswer> {
    const before = this.#turns.get(exchange.grant) ?? Promise.resolve();
    const turn = before.then(() => askLibrary(exchange, this.#env));
    const settled = turn
      .catch(() => undefined) // whoever asked gets the failure; the next one only waits its turn
      .finally(() => {
        if (this.#turns.get(exchange.grant) === settled) this.#turns.delete(exchange.grant);
      });
    this.#turns.set(exchange.grant, settled);
    return turn;
  }
}
