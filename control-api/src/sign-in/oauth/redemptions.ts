import type { Env } from "../../env.ts";
import { hashOf } from "../secret.ts";
import { askLibrary } from "./redeem.ts";
import type { SpentTokens } from "./spent-tokens.ts";
import type { Redemption, RedemptionAnswer } from "./redemption.ts";

/**
 * A client whose refresh got lost, or that has two processes with one token, asks again with the same token: within this
 * time it gets the same answer, so that no process is left with tokens that the other's refresh has made void. Milliseconds.
 */
const AGAIN_MS = 30_000;

type Spent = Pick<SpentTokens, "add" | "has" | "forget">;

type Answered = { answer: Promise<RedemptionAnswer>; untilMs: number };

/**
 * One user's redemptions of codes and refresh tokens, one at a time for each grant: the library reads and writes
 * in two steps, so without this one code could be redeemed twice at the same moment.
 */
export class Redemptions {
  readonly #env: Env;
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #answered = new Map<string, Answered>();
  readonly #spent: Spent;
  readonly #endGrant: (id: string) => Promise<void>;

  /** @param endGrant ends a grant one of whose tokens was stolen. */
  constructor(env: Env, spent: Spent, endGrant: (id: string) => Promise<void>) {
    this.#env = env;
    this.#spent = spent;
    this.#endGrant = endGrant;
  }

  async run(redemption: Redemption): Promise<RedemptionAnswer> {
    const form = new URLSearchParams(redemption.body);
    if (form.get("grant_type") !== "refresh_token") return this.#inTurn(redemption);
    const nowMs = Date.now();
    for (const [key, { untilMs }] of this.#answered) if (untilMs <= nowMs) this.#answered.delete(key);
    const key = await hashOf(`${redemption.authorization}\n${redemption.body}`);
    const known = this.#answered.get(key);
    if (known !== undefined) return known.answer;
    const answer = this.#refresh(redemption, form.get("refresh_token") ?? "");
    this.#answered.set(key, { answer, untilMs: nowMs + AGAIN_MS });
    const forget = (): void => void this.#answered.delete(key);
    answer.then(({ status }) => (status === 200 ? undefined : forget()), forget);
    return answer;
  }

  /**
   * A refresh token that was used, and that the library takes no more, is shown again by somebody who stole it or by the one
   * it was stolen from; which of the two, nobody can tell. So the grant ends (RFC 9700 section 4.14.2).
   */
  async #refresh(redemption: Redemption, refreshToken: string): Promise<RedemptionAnswer> {
    const hash = await hashOf(refreshToken);
    const answer = await this.#inTurn(redemption);
    if (answer.status === 200) this.#spent.add(hash, redemption.grant);
    else if (answer.status === 400 && this.#spent.has(hash)) {
      console.warn("a refresh token was used again after it was replaced; its grant ends", { grant: redemption.grant });
      this.#spent.forget(redemption.grant);
      await this.#endGrant(redemption.grant);
    }
    return answer;
  }

  #inTurn(redemption: Redemption): Promise<RedemptionAnswer> {
    const before = this.#turns.get(redemption.grant) ?? Promise.resolve();
    const turn = before.then(() => askLibrary(redemption, this.#env));
    const settled = turn
      .catch(() => undefined) // the caller gets the failure; the next one only waits for its turn
      .finally(() => {
        if (this.#turns.get(redemption.grant) === settled) this.#turns.delete(redemption.grant);
      });
    this.#turns.set(redemption.grant, settled);
    return turn;
  }
}
