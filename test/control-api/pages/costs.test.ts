import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pageOf, type Somebody, somebody, textOf } from "./support/person.ts";

const JSON_TYPE = { "content-type": "application/json" };

function answers(structuredContent: unknown) {
  const result = { content: [], structuredContent };
  const body = JSON.stringify({ jsonrpc: "2.0", id: "1", result });
  return { "tools/call get_observability": { headers: JSON_TYPE, body } };
}

const row = (day: string, slug: string, usd: number | null, more: object = {}) => ({
  day,
  slug,
  model: "claude-sonnet-5",
  input_tokens: 1_000,
  cache_read_tokens: 500,
  output_tokens: 200,
  cost_usd: usd,
  ...more,
});

async function withMachines(plans: Record<string, unknown>): Promise<Somebody> {
  const alice = await somebody();
  for (const [name, told] of Object.entries(plans)) {
    await alice.user.machine(name, { answers: answers(told) });
    await alice.user.report(name, { online: true });
  }
  return alice;
}

type Costs = {
  total: object;
  byDay: object[];
  byMachine: object[];
  byProject: { project: string }[];
  unanswered: object[];
  lastKnown: object[];
};

describe("what sessions cost", () => {
  test("is summed per day, machine and project, from what each machine says", async () => {
    const alice = await withMachines({
      attic: { rows: [row("2026-11-01", "-home-ann-api", 1.25), row("2026-11-02", "-home-ann-api", 0.5)] },
      barn: { rows: [row("2026-11-02", "-home-ann-web", 2)] },
    });
    const costs = await alice.user.json<Costs>("/api/costs?days=7");
    const used = { isIncomplete: false };
    expect(costs.total).toEqual({ ...used, costUsd: 3.75, inputTokens: 4_500, outputTokens: 600 });
    expect(costs.byDay).toMatchObject([
      { day: "2026-11-01", costUsd: 1.25 },
      { day: "2026-11-02", costUsd: 2.5 },
    ]);
    expect(costs.byMachine).toMatchObject([
      { machine: "barn", costUsd: 2 },
      { machine: "attic", costUsd: 1.75 },
    ]);
    expect(costs.byProject).toMatchObject([
      { machine: "barn", project: "-home-ann-web", costUsd: 2 },
      { machine: "attic", project: "-home-ann-api", costUsd: 1.75 },
    ]);
    expect(costs.unanswered).toEqual([]);
    const text = textOf(await pageOf(alice, "/costs?days=7"));
    expect(text).toMatch(/\$3\.75 in 7 days · 4\.5K in, 600 out/);
    expect(text).toMatch(/barn \$2\.00.*attic \$1\.75/);
    const asked = (await alice.user.reached("barn")).filter(({ body }) => body.includes("get_observability"));
    expect(JSON.parse(asked[0]?.body ?? "").params.arguments).toEqual({ days: 7 });
  });

  test("names machines whose numbers are missing, and marks sums without a price", async () => {
    const alice = await withMachines({
      attic: { rows: [row("2026-11-01", "p", null), row("2026-11-01", "q", 1)] },
      loft: {},
    });
    await alice.user.machine("cellar");
    const costs = await alice.user.json<Costs>("/api/costs");
    expect(costs.total).toMatchObject({ costUsd: 1, isIncomplete: true });
    expect(costs.unanswered).toEqual([
      { machine: "loft", why: "does not tell its usage" },
      { machine: "cellar", why: "offline" },
    ]);
    const text = textOf(await pageOf(alice, "/costs"));
    expect(text).toContain("Not in these sums (does not tell its usage): loft.");
    expect(text).toContain("Not in these sums (offline): cellar.");
    expect(text).toContain("$1.00+");
    expect(text).toContain("Price not known");
  });

  test("of a machine that is offline is shown as last known, and is in no sum", async () => {
    const told = { rows: [row("2026-11-01", "p", 1)] };
    const alice = await withMachines({ attic: told });
    await alice.user.machine("cellar");
    await alice.user.logs("cellar", [
      { session: "s1", type: "session.idle", atMs: Date.now() - 3_600_000, data: { cost_usd: 2.5 } },
      { session: "s1", type: "session.idle", atMs: Date.now() - 3_500_000, data: { cost_usd: 3 } },
      { session: "s2", type: "session.idle", atMs: Date.now() - 3_600_000, data: { cost_usd: 0.25 } },
      { session: "old", type: "session.idle", atMs: Date.now() - 40 * 86_400_000, data: { cost_usd: 99 } },
    ]);
    await alice.user.logs("attic", [{ session: "s3", type: "session.idle", data: { cost_usd: 7 } }]);
    await alice.user.script("attic", { answers: answers(told) });
    const costs = await alice.user.json<Costs>("/api/costs");
    expect(costs.total).toMatchObject({ costUsd: 1 });
    expect(costs.lastKnown).toMatchObject([{ machine: "cellar", costUsd: 3.25, sessions: 2 }]);
    expect(textOf(await pageOf(alice, "/costs"))).toMatch(/As last known.*cellar \$3\.25 2 sessions/);
    const week = await alice.user.json<Costs>("/api/costs?days=60");
    expect(week.lastKnown).toMatchObject([{ machine: "cellar", costUsd: 102.25 }]);
  });

  test("is refused for days that are none", async () => {
    const alice = await somebody();
    for (const days of ["0", "367", "x", "1e2", "-1"])
      expect((await alice.user.rest("GET", `/api/costs?days=${days}`)).status, days).toBe(400);
    expect(textOf(await pageOf(alice, "/costs?days=x"))).toContain("Nothing was used");
  });

  test("stays a page whatever a machine says", async () => {
    const alice = await withMachines({ attic: {} });
    const told = fc.oneof(
      fc.anything(),
      fc.record({
        rows: fc.array(
          fc.record({
            day: fc.oneof(fc.constant("2026-11-01"), fc.string()),
            slug: fc.oneof(fc.constant('"><img src=x>\u202e'), fc.anything()),
            cost_usd: fc.oneof(fc.double(), fc.constant(1e300)),
            input_tokens: fc.anything(),
          }),
        ),
      }),
    );
    await fc.assert(
      fc.asyncProperty(told, async (one) => {
        await alice.user.script("attic", { answers: answers(one) });
        const page = await pageOf(alice, "/costs");
        expect(page).not.toMatch(/<img|\u202e|NaN|Infinity/);
      }),
      { numRuns: 25 },
    );
  });
});
