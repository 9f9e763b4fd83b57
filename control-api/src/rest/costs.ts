import { Hono } from "hono";
import { errorResponse } from "#protocol/error.ts";
import { DEFAULT_COST_DAYS, daysIn, MAX_COST_DAYS } from "../costs/days.ts";
import { readCosts } from "../costs/read-costs.ts";
import type { AppContext } from "../http/app-context.ts";
import { reading } from "../http/needs.ts";

/** `GET /api/costs?days=30`: what the sessions of all machines cost, per day, machine and project, as far as machines tell. */
export const costs = new Hono<AppContext>();

costs.get("/", reading, async (c) => {
  const days = daysIn(c.req.query("days") ?? String(DEFAULT_COST_DAYS));
  if (days === null)
    return errorResponse({
      code: "invalid_request",
      reason: `days must be a whole number from 1 to ${MAX_COST_DAYS}.`,
    });
  return c.json(await readCosts(c.env, c.var.caller, days, c.req.raw.signal));
});
