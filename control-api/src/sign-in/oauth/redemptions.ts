import type { Env } from "../../env.ts";
import { hashOf } from "../secret.ts";
import { askLibrary } from "./redeem.ts";
import type { SpentTokens } from "./spent-tokens.ts";
import type { Redemption, RedemptionAnswer } from "./redemption.ts";

/**
 * How long the answer to a refresh is kept for identical requests. A client that lost the response repeats its request, and two
 * processes of one client may refresh the same token at the same time. Both get the same new tokens; otherwise the second refresh
 * would look like a stolen token and end the grant. Milliseconds.
 */
const AGAIN_MS = 30_000;

type Spent = Pick<SpentTokens, "add" | "has">;

type Answered = { answer: Promise<RedemptionAnswer>; untilMs: number };

/**
 * Redeems one user's codes and refresh tokens, one at a time for each grant. The library reads a grant and writes it back in two
 * steps, so two simultaneous requests could both redeem one code, which must work only once (RFC 6749 section 4.1.2).
 */
export class Redemptions {
  readonly #env: Env;
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #answered = new Map<string, Answered>();
  readonly #spent: Spent;
  readonly #endGrant: (id: string) => Promise<void>;

  /** @param endGrant ends a grant whose refresh token was used again after it was replaced, and then forgets its spent tokens */
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
   * Refreshes, and detects stolen refresh tokens. If a token arrives that was replaced earlier and that the library refuses, two
   * parties hold it: the client and a thief. The server cannot tell which of them sent it, so the grant ends for both (RFC 9700
   * section 4.14.2).
   */
  async #refresh(redemption: Redemption, refreshToken: string): Promise<RedemptionAnswer> {
    const hash = await hashOf(refreshToken);
    const answer = await this.#inTurn(redemption);
    if (answer.status === 200) this.#spent.add(hash, redemption.grant);
    else if (answer.status === 400 && this.#spent.has(hash)) {
      console.warn("a refresh token was used again after it was replaced; its grant ends", { grant: redemption.grant });
      await this.#endGrant(redemption.grant);
    }
    return answer;
  }

  #inTurn(redemption: Redemption): Promise<RedemptionAnswer> {
    const before = this.#turns.get(redemption.grant) ?? Promise.resolve();
    const turn = before.then(() => askLibrary(redemption, this.#env));
    const settled = turn
      .catch(() => undefined) // the caller of this turn gets the error; the next request only waits for the end of the turn
      .finally(() => {
        if (this.#turns.get(redemption.grant) === settled) this.#turns.delete(redemption.grant);
      });
    this.#turns.set(redemption.grant, settled);
    return turn;
  }
}
