import type { Env } from "../env.ts";
import { notify } from "../audit/notice.ts";
import type { Caller } from "../http/caller.ts";
import type { Refusal } from "../http/refusal.ts";
import type { Rate, TokenBucket } from "#protocol/token-bucket.ts";
import { reread } from "../http/object-restart.ts";
import { noteWithin } from "#protocol/keep-within.ts";
import { TokenBuckets } from "../http/token-buckets.ts";
import { addressOf, rateAt } from "./address.ts";
import { authenticate } from "./authenticate.ts";

/**
 * Requests with one credential. Twenty agents of one person that call two tools a second each stay below it in the long run, and
 * the burst is a minute of that. A client in a loop sends hundreds a second.
 */
const CREDENTIAL: Rate = { perSecond: 50, burst: 3_000 };

/**
 * Requests with an invalid token, or with one that this isolate has not seen before, from one address. Each costs a look-up in a
 * Durable Object. A script that repeats a revoked token every second stays below it, so it does not lock out its neighbours.
 */
const UNKNOWN_TOKEN: Rate = { perSecond: 2, burst: 120 };

/** Entries in each of the maps below. With headers of 100 bytes they need about a megabyte each; the longest header has 2 KB. */
const REMEMBERED = 5_000;

type Known = { readonly bucket: TokenBucket | null; readonly user: string; readonly client: string };

/**
 * Refused requests of one credential within the window, after which its person is notified, once per window. A client that waits as it
 * is told is refused a few times.
 */
const TOLD_AFTER = 100;
const TOLD_WINDOW_MS = 60 * 60_000;

/**
 * Limits requests, and identifies their callers.
 *
 * The limits are counted in this isolate's memory. They protect Operator from floods, for which a count per isolate is good
 * enough: a client's requests arrive at one isolate or a few, so the limit is at most a few times higher than it says. Exact
 * counts would cost every call a request to a Durable Object, and a call must stay cheap. What has to be exact, the budget of a
 * token, is counted in its user's object, which checks the token anyway.
 */
export class Admission {
  readonly #ofCredential: Rate;
  readonly #ofUnknownToken: Rate;
  readonly #credentials = new TokenBuckets(REMEMBERED);
  readonly #addresses = new TokenBuckets(REMEMBERED);

  /**
   * `Authorization` headers that were valid when last checked, and the bucket of their credential. It is `null` for the owner of a
   * local start, who has no limit: it would protect the computer from its own owner. A request with such a header is limited before
   * its token is looked up, and is never refused because of what strangers at the same address send.
   */
  readonly #known = new Map<string, Known>();
  readonly #refusals = new Map<string, { count: number; readonly untilMs: number }>();

  constructor(ofCredential: Rate, ofUnknownToken: Rate) {
    this.#ofCredential = ofCredential;
    this.#ofUnknownToken = ofUnknownToken;
  }

  /**
   * Identifies the caller of a request, within the limits. The count that matters is taken before the look-up, since requests that
   * are sent at the same time would otherwise all pass.
   */
  async admit(request: Request, env: Env, url: URL): Promise<Caller | Refusal> {
    const authorization = request.headers.get("authorization");
    // Without a token nothing is looked up: the refusal costs less than its limit would.
    if (authorization === null) return identify(request, env, url);
    const nowMs = Date.now();
    const before = this.#known.get(authorization);
    const taken = before === undefined ? this.#strangersAt(request, env, nowMs) : before.bucket;
    const afterMs = taken?.take(nowMs) ?? 0;
    if (afterMs > 0) {
      if (before !== undefined) this.#tellOfRefusal(before, env, nowMs);
      return { refused: "too_many", of: before === undefined ? "address" : "token", afterMs };
    }
    const caller = await identify(request, env, url);
    if ("refused" in caller) {
      if (caller.refused === "bad_token") this.#known.delete(authorization);
      return caller;
    }
    if (before === undefined) {
      taken?.giveBack();
      this.#remember(authorization, caller, nowMs);
    }
    return caller;
  }

  #strangersAt(request: Request, env: Env, nowMs: number): TokenBucket {
    const address = addressOf(request, env);
    return this.#addresses.of(address, rateAt(address, this.#ofUnknownToken), nowMs);
  }

  #remember(authorization: string, { user, client, credential, isLocal }: Caller, nowMs: number): void {
    // An app gets a new access token every hour. Its bucket stays the same, or refreshing would be a way around the limit.
    const key = `${user} ${credential ?? client}`;
    const bucket = isLocal === true ? null : this.#credentials.of(key, this.#ofCredential, nowMs);
    noteWithin(this.#known, REMEMBERED, authorization, { bucket, user, client });
  }

  #tellOfRefusal({ user, client }: Known, env: Env, nowMs: number): void {
    const key = `${user} ${client}`;
    const before = this.#refusals.get(key);
    if (before === undefined || before.untilMs <= nowMs) {
      noteWithin(this.#refusals, REMEMBERED, key, { count: 1, untilMs: nowMs + TOLD_WINDOW_MS });
      return;
    }
    before.count += 1;
    if (before.count !== TOLD_AFTER) return;
    const what = `more than ${this.#ofCredential.perSecond} requests a second`;
    notify(env, user, { type: "notice.limit_reached", what, by: client });
  }
}

/**
 * To look a token up may be repeated: at worst, a request during which the user's object was restarted counts twice in the token's daily
 * budget.
 */
function identify(request: Request, env: Env, url: URL): Promise<Caller | Refusal> {
  return reread(() => authenticate(request, env, url, true));
}

const admission = new Admission(CREDENTIAL, UNKNOWN_TOKEN);

/** Identifies the caller of a request, within the limits of this isolate. */
export function admit(request: Request, env: Env, url: URL): Promise<Caller | Refusal> {
  return admission.admit(request, env, url);
}
