import type { Env } from "../../env.ts";
import { hashOf } from "../secret.ts";
import { askLibrary } from "./redeem.ts";
import type { Redemption, RedemptionAnswer } from "./redemption.ts";

/**
 * A client whose refresh got lost, or that has two processes with one token, asks again with the same token: within this
 * time it gets the same answer, so that no process is left with tokens that the other's refresh has made void. Milliseconds.
 */
const AGAIN_MS = 30_000;

type Answered = { answer: Promise<RedemptionAnswer>; untilMs: number };

/**
 * One user's redemptions of codes and refresh tokens, one at a time for each grant: the library reads and writes
 * in two steps, so without this one code could be redeemed twice at the same moment.
 */
export class Redemptions {
  readonly #env: Env;
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #answered = new Map<string, Answered>();

  constructor(env: Env) {
    this.#env = env;
  }

  async run(redemption: Redemption): Promise<RedemptionAnswer> {
    if (new URLSearchParams(redemption.body).get("grant_type") !== "refresh_token") return this.#inTurn(redemption);
    const nowMs = Date.now();
    for (const [key, { untilMs }] of this.#answered) if (untilMs <= nowMs) this.#answered.delete(key);
    const key = await hashOf(`${redemption.authorization}\n${redemption.body}`);
    const known = this.#answered.get(key);
    if (known !== undefined) return known.answer;
    const answer = this.#inTurn(redemption);
    this.#answered.set(key, { answer, untilMs: nowMs + AGAIN_MS });
    const forget = (): void => void this.#answered.delete(key);
    answer.then(({ status }) => (status === 200 ? undefined : forget()), forget);
    return answer;
  }

  #inTurn(redemption: Redemption): Promise<RedemptionAnswer> {
    const before = this.#turns.get(redemption.grant) ?? Promise.resolve();
    const turn = before.then(() => askLibrary(redemption, this.#env));
    const settled = turn
      .catch(() => undefined) // whoever asked gets the failure; the next one only waits its turn
      .finally(() => {
        if (this.#turns.get(redemption.grant) === settled) this.#turns.delete(redemption.grant);
      });
    this.#turns.set(redemption.grant, settled);
    return turn;
  }
}
