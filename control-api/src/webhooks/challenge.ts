import * as z from "zod/mini";
import { randomSecret } from "#protocol/bytes.ts";
import { parseJson } from "#protocol/json.ts";
import { noteWithin } from "#protocol/keep-within.ts";
import type { EventsError } from "../mcp-events/events-error.ts";
import { isSame } from "../sign-in/secret.ts";
import { MAX_CHALLENGES, MAX_CHALLENGES_PER_HOST, MAX_HOSTS } from "./limits.ts";
import { post } from "./post.ts";
import { signatureHeaders } from "./sign.ts";

const MINUTE_MS = 60_000;

const Echo = z.object({ challenge: z.string() });

/** How a receiver tells which subscription a message is for, before it reads the body (SEP-3415, "Headers"). */
export const SUBSCRIPTION_HEADER = "x-mcp-subscription-id";

/**
 * Asks receivers whether they want what a client subscribes them to (SEP-3415, "Endpoint verification"). Without it, anybody who may
 * subscribe could flood somebody else's server.
 *
 * A challenge exists only while its request is under way, and is compared with the answer to that request. So it can be used once,
 * and for as long as the request's time limit.
 */
export class Challenges {
  /** Requests to each host in the current minute. */
  readonly #asked = new Map<string, { sinceMs: number; count: number }>();
  #running = 0;

  /** Answers `null` if the receiver has echoed the challenge. */
  async run(url: URL, subscription: string, secret: string, nowMs: number): Promise<EventsError | null> {
    if (this.#running >= MAX_CHALLENGES)
      return { code: "resource_exhausted", limit: "verifications at a time", max: MAX_CHALLENGES };
    if (!this.#mayAsk(url.hostname, nowMs))
      return {
        code: "resource_exhausted",
        limit: "verifications per minute of one host",
        max: MAX_CHALLENGES_PER_HOST,
      };
    this.#running += 1;
    try {
      return await ask(url, subscription, secret, nowMs);
    } finally {
      this.#running -= 1;
    }
  }

  #mayAsk(host: string, nowMs: number): boolean {
    const known = this.#asked.get(host);
    if (known === undefined || nowMs - known.sinceMs >= MINUTE_MS) {
      noteWithin(this.#asked, MAX_HOSTS, host, { sinceMs: nowMs, count: 1 });
      return true;
    }
    known.count += 1;
    return known.count <= MAX_CHALLENGES_PER_HOST;
  }
}

async function ask(url: URL, subscription: string, secret: string, nowMs: number): Promise<EventsError | null> {
  const challenge = randomSecret();
  const id = `msg_verification_${crypto.randomUUID()}`;
  const body = JSON.stringify({ type: "verification", challenge });
  const signed = await signatureHeaders({ id, body }, [secret], nowMs);
  const posted = await post(url.href, body, { ...signed, [SUBSCRIPTION_HEADER]: subscription }, true);
  if (!posted.ok) return { code: "callback_failed", reason: posted.fault };
  const echo = Echo.safeParse(parseJson(posted.text));
  const isEchoed = echo.success && isSame(echo.data.challenge, challenge);
  return isEchoed ? null : { code: "callback_failed", reason: "challenge_failed" };
}
