import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { DEFAULT_DAYS } from "#protocol/coding-tools/machine-tools.ts";
import { checkHealth } from "../health/health.ts";
import { estimate } from "../search-index/price.ts";
import type { UsageSum } from "../search-index/store.ts";
import type { Machine } from "../machine.ts";
import { defineTool, type Tool } from "../mcp/tool.ts";

/** Rows in one answer, one for each day, project and model. The sums include all rows. */
const MAX_ROWS = 1_000;

export function machineTools(machine: Machine): Tool[] {
  const { index, permissions, policy, sessions, state } = machine;

  const health = defineTool(CODING_TOOLS.get_health, async () => ({
    ok: true,
    live_sessions: sessions.all().length,
    busy_sessions: sessions.all().filter((session) => session.isBusy).length,
    pending_permissions: permissions.pending().length,
    uptime_ms: Math.round(performance.now()),
  }));

  const details = defineTool(CODING_TOOLS.get_health_details, async () => checkHealth(machine, machine.home));

  const getState = defineTool(CODING_TOOLS.get_state, async () => ({ state: await state.read() }));

  const updateState = defineTool(CODING_TOOLS.update_state, async ({ patch }) => {
    policy.mayWrite();
    return { state: await state.update(patch) };
  });

  const observability = defineTool(CODING_TOOLS.get_observability, async ({ days = DEFAULT_DAYS }) => {
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
  });

  return [health, details, getState, updateState, observability];
}

function group(sums: readonly UsageSum[], by: "day" | "slug" | "model", prices: ReadonlyMap<string, number>) {
  const groups = new Map<string, UsageSum[]>();
  for (const row of sums) {
    const rows = groups.get(row[by]) ?? [];
    rows.push(row);
    groups.set(row[by], rows);
  }
  return [...groups].map(([key, rows]) => ({ [by]: key, ...total(rows, prices) }));
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
