import { Hono } from "hono";
import { errorResponse } from "#protocol/error.ts";
import { DEFAULT_COST_DAYS, daysIn, MAX_COST_DAYS } from "../costs/days.ts";
import { readCosts } from "../costs/read-costs.ts";
import type { AppContext } from "../http/app-context.ts";
import { reading } from "../http/needs.ts";
import { refuse } from "../http/refusal.ts";
import { Lease } from "../sign-in/lease.ts";

/** `GET /api/costs?days=30`: what the sessions of all machines cost, per day, machine and project, as far as machines tell. */
export const costs = new Hono<AppContext>();

costs.get("/", reading, async (c) => {
  const days = daysIn(c.req.query("days") ?? String(DEFAULT_COST_DAYS));
  if (days === null)
    return errorResponse({
      code: "invalid_request",
      reason: `days must be a whole number from 1 to ${MAX_COST_DAYS}.`,
    });
  const { caller } = c.var;
  const url = new URL(c.req.url);
  // Machines have ten seconds to answer.
  const lease = Lease.of(c.req.raw, c.env, url, caller);
  if ("refused" in lease) return refuse(lease, url, c.env);
  const signal = AbortSignal.any([c.req.raw.signal, lease.signal]);
  const found = await lease.during(readCosts(c.env, caller, days, signal));
  return found === null ? refuse({ refused: "bad_token" }, url, c.env) : lease.cover(c.json(found));
});
