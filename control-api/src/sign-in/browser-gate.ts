import { createMiddleware } from "hono/factory";
import type { Rate } from "#protocol/token-bucket.ts";
import { tooManyRequests } from "../design/error-page.tsx";
import { wantsPage } from "../design/page-wanted.ts";
import type { Env } from "../env.ts";
import { refuse } from "../http/refusal.ts";
import { TokenBuckets } from "../http/token-buckets.ts";
import { addressOf, rateAt } from "./address.ts";

/**
 * Requests of one address to the pages and OAuth endpoints, which all ask the one directory of people: no address may keep it busy.
 * A page takes three requests, a sign-in about six, and an office may share an address.
 */
const ANYBODY: Rate = { perSecond: 20, burst: 300 };

/** Addresses of which this isolate keeps a count. */
const ofAddresses = new TokenBuckets(5_000);

/** Counted in this isolate's memory (admission.ts says why), before anything is looked up. The exact limits come after it. */
export const perAddress = createMiddleware<{ Bindings: Env }>(async (c, next) => {
  const nowMs = Date.now();
  const address = addressOf(c.req.raw, c.env);
  const afterMs = ofAddresses.of(address, rateAt(address, ANYBODY), nowMs).take(nowMs);
  if (afterMs === 0) return next();
  const refusal = refuse({ refused: "too_many", of: "address", afterMs }, new URL(c.req.url), c.env);
  if (!wantsPage(c.req.raw)) return refusal;
  const page = tooManyRequests(afterMs);
  page.headers.set("retry-after", refusal.headers.get("retry-after") ?? "1");
  return page;
});

/** With MCPAuthKit none of the pages exist: a second way to get tokens would bypass the people it allows. */
export const builtInOnly = createMiddleware<{ Bindings: Env }>((c, next) =>
  c.env.AUTHKIT_URL ? Promise.resolve(c.notFound()) : next(),
);
