import { Hono } from "hono";
import { DEFAULT_COST_DAYS, daysIn } from "../costs/days.ts";
import { readCosts } from "../costs/read-costs.ts";
import { personPage } from "../sign-in/person-page.ts";
import type { PageApp } from "../sign-in/page-context.ts";
import { CostsPage } from "./costs-page.tsx";
import { webCaller } from "./web-caller.ts";

/** `/costs?days=`: what the sessions of all machines cost. Machines that are online are asked. */
export const costs = new Hono<PageApp>();

costs.get("/", async (c) => {
  const days = daysIn(c.req.query("days") ?? "") ?? DEFAULT_COST_DAYS;
  const found = await readCosts(c.env, webCaller(c.var.session), days, c.req.raw.signal);
  return personPage(c, { title: "Costs", at: "sessions" }, <CostsPage costs={found} todayMs={Date.now()} />);
});
