import * as z from "zod";
import { checkHealth } from "../health/health.ts";
import { estimate } from "../search-index/price.ts";
import type { UsageSum } from "../search-index/store.ts";
import type { Machine } from "../machine.ts";
import { defineTool, type Tool } from "../mcp/tool.ts";

/** Rows by day, project and model that are given one by one; sums are over all. */
const DEFAULT_DAYS = 30;
const MAX_ROWS = 1_000;

export function machineTools(machine: Machine): Tool[] {
  const { index, permissions, policy, sessions, state } = machine;

  const health = defineTool({
    name: "get_health",
    title: "Check health",
    description: "Whether codez serve answers, and how much it has to do. get_health_details says what is wrong.",
    kind: "reads",
    input: z.object({}),
    call: async () => ({
      ok: true,
      live_sessions: sessions.all().length,
      busy_sessions: sessions.all().filter((session) => session.isBusy).length,
      pending_permissions: permissions.pending().length,
      uptime_ms: Math.round(performance.now()),
    }),
  });

  const details = defineTool({
    name: "get_health_details",
    title: "Check health in detail",
    description:
      "What is wrong on this machine and what to run there: Claude Code, sign-in, disk, history index, config.",
    kind: "reads",
    input: z.object({}),
    call: async () => checkHealth(machine, machine.home),
  });

  const getState = defineTool({
    name: "get_state",
    title: "Read the state",
    description: "The application state kept on this machine: markers and preferences of clients.",
    kind: "reads",
    input: z.object({}),
    call: async () => ({ state: await state.read() }),
  });

  const updateState = defineTool({
    name: "update_state",
    title: "Update the state",
    description: "Change the application state by a JSON merge patch: objects are merged, null removes a key.",
    kind: "writes",
    input: z.object({ patch: z.record(z.string(), z.unknown()) }),
    call: async ({ patch }) => {
      policy.mayWrite();
      return { state: await state.update(patch) };
    },
  });

  const observability = defineTool({
    name: "get_observability",
    title: "Usage and cost",
    description:
      "Tokens and cost of all sessions on this machine, by day, project and model, from what Claude Code recorded. " +
      "Cost is worked out with the prices it recorded for each model; null where it never recorded one.",
    kind: "reads",
    input: z.object({ days: z.int().min(1).max(3_660).optional().describe("For the rows; sums are over all time") }),
    call: async ({ days = DEFAULT_DAYS }) => {
      const { sums, prices } = await index.askFresh("usage", null);
      const known = new Map(prices.map(({ model, usdPerToken }) => [model, usdPerToken]));
      const sinceDay = new Date(Date.now() - days * 24 * 60 * 60_000).toISOString().slice(0, 10);
      const recent = sums.filter(({ day }) => day > sinceDay).sort((a, b) => b.day.localeCompare(a.day));
      return {
        total: total(sums, known),
        by_day: group(recent, "day", known),
        by_project: group(sums, "slug", known),
        by_model: group(sums, "model", known),
        rows: recent
          .slice(0, MAX_ROWS)
          .map((row) => ({ day: row.day, slug: row.slug, model: row.model, ...total([row], known) })),
        rows_omitted: Math.max(0, recent.length - MAX_ROWS),
        live: sessions.all().map(({ id, slug, costUsd }) => ({ session_id: id, slug, cost_usd: costUsd })),
      };
    },
  });

  return [health, details, getState, updateState, observability];
}

function group(sums: readonly UsageSum[], by: "day" | "slug" | "model", prices: ReadonlyMap<string, number>) {
  const keys = [...new Set(sums.map((row) => row[by]))];
  return keys.map((key) => ({
    [by]: key,
    ...total(
      sums.filter((row) => row[by] === key),
      prices,
    ),
  }));
}

function total(sums: readonly UsageSum[], prices: ReadonlyMap<string, number>) {
  const add = (of: (row: UsageSum) => number) => sums.reduce((sum, row) => sum + of(row), 0);
  const costs = sums.map((row) => estimate(row, prices));
  const priced = costs.filter((cost) => cost !== null);
  const unpriced = sums.filter((_, index) => costs[index] === null);
  return {
    input_tokens: add((row) => row.tokens.input),
    output_tokens: add((row) => row.tokens.output),
    cache_read_tokens: add((row) => row.tokens.cacheRead),
    cache_write_tokens: add((row) => row.tokens.cacheWrite),
    cost_usd: priced.length === 0 ? null : priced.reduce((sum, cost) => sum + cost, 0),
    ...(unpriced.length === 0 ? {} : { models_without_price: [...new Set(unpriced.map((row) => row.model))] }),
  };
}
