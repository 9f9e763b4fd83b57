import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { PRESENCE_LEASE_MS } from "#protocol/limits.ts";
import { deployServer } from "../../support/deploy-server.ts";
import { FACTS as MACHINE_FACTS } from "../../support/facts.ts";
import { env, failureOf, TestUser } from "../../support/operator.ts";

const FACTS = { ...MACHINE_FACTS, hostname: "Workshop.example" };

type Page = { machines: { name: string; status: string }[]; total: number; online: number; cursor: string | null };

let user: TestUser;
beforeEach(() => {
  user = new TestUser();
});

/** Machines of these names that never connected. */
async function add(...names: string[]): Promise<void> {
  for (const name of names) await user.machine(name);
}

async function list(args: Record<string, unknown> = {}, who = user): Promise<Page> {
  const { structuredContent } = await who.tool("list_machines", args);
  return structuredContent as Page;
}

const namesOf = ({ machines }: Page): string[] => machines.map(({ name }) => name);

/** All pages, one after the other. */
async function all(args: Record<string, unknown>): Promise<{ names: string[]; pages: number }> {
  const names: string[] = [];
  let [cursor, pages]: [string | null, number] = [null, 0];
  do {
    const page: Page = await list({ ...args, ...(cursor === null ? {} : { cursor }) });
    names.push(...namesOf(page));
    ({ cursor } = page);
    pages += 1;
  } while (cursor !== null && pages < 100);
  return { names, pages };
}

describe("list_machines with many machines", () => {
  it("shows those that are online first, then those seen last, then those that never connected, and counts all", async () => {
    await add("attic", "barn", "cellar", "dairy", "eaves");
    await user.report("barn", { online: false, lastSeenMs: 1_000 });
    await user.report("dairy", { online: false, lastSeenMs: 2_000 });
    await user.report("eaves", { online: true });
    const page = await list();
    expect(namesOf(page)).toEqual(["eaves", "dairy", "barn", "attic", "cellar"]);
    expect(page).toMatchObject({ total: 5, online: 1, cursor: null });
    expect(await list({ limit: 2 })).toMatchObject({ total: 5, online: 1, cursor: expect.any(String) });
    for (const limit of [1, 2, 3, 4, 5])
      expect(await all({ limit })).toEqual({ names: namesOf(page), pages: Math.ceil(5 / limit) });
  });

  it("sorts names as a person counts, over all pages", async () => {
    const names = ["box-1", "box-02", "box-12", "build", "build-1", "build-2", "build-10", "build-2a"];
    await add(...names.toReversed());
    for (const limit of [1, 3, 50]) expect((await all({ limit })).names).toEqual(names);
  });

  it("shows a client that passes nothing at most fifty, and says that there are more", async () => {
    await add(...Array.from({ length: 51 }, (_, n) => `more-${n}`));
    await user.report("more-50", { online: true });
    const page = await list();
    expect(page.machines).toHaveLength(50);
    expect(page.machines[0]).toMatchObject({ name: "more-50", status: "online" });
    expect(page).toMatchObject({ total: 51, online: 1, cursor: expect.any(String) });
    const rest = await list({ cursor: page.cursor });
    expect(new Set([...namesOf(page), ...namesOf(rest)]).size).toBe(51);
    expect(rest.cursor).toBeNull();
  });

  it("ends a page before it is too long for a model, and leaves nothing out over all pages", async () => {
    const names = Array.from({ length: 12 }, (_, n) => `big-${String(n).padStart(2, "0")}`);
    await add(...names);
    const projects = Array.from({ length: 20 }, (_, n) => ({ slug: `-p-${n}`, path: `/p/${n}/${"x".repeat(280)}` }));
    for (const name of names) await user.report(name, { facts: { ...FACTS, projects } });
    const first = await user.tool("list_machines");
    expect(first.content[0]?.text.length).toBeLessThan(70_000);
    const page = first.structuredContent as Page;
    expect(page.machines.length).toBeGreaterThan(5);
    expect(page).toMatchObject({ total: 12, online: 12, cursor: expect.any(String) });
    expect(await all({})).toEqual({ names, pages: 2 });
  });

  it("goes on where the page ended when machines before that place come and go meanwhile", async () => {
    await add("attic", "barn", "cellar", "dairy");
    const first = await list({ limit: 2 });
    await user.rest("DELETE", "/api/machines/attic");
    await add("aviary");
    expect(namesOf(await list({ limit: 2, cursor: first.cursor }))).toEqual(["cellar", "dairy"]);
  });

  it("finds machines by a part of their name or hostname, in upper or lower case", async () => {
    await add("attic", "bench", "cellar");
    await user.report("cellar", { facts: FACTS });
    expect(await list({ query: "WORKSHOP" })).toMatchObject({ machines: [{ name: "cellar" }], total: 1 });
    expect(namesOf(await list({ query: "c" }))).toEqual(["cellar", "attic", "bench"]);
    expect(await list({ query: "nowhere" })).toEqual({ machines: [], total: 0, online: 0, cursor: null });
  });

  it("shows and counts for a limited token only the machines that it may use", async () => {
    await add("attic", "barn", "cellar");
    await deployServer(user, "another");
    await user.report("attic", { online: true });
    const made = await user.rest("POST", "/api/tokens", { label: "two", machines: ["barn", "cellar"] });
    const limited = new TestUser(user.id, (await made.json<{ token: string }>()).token);
    expect(await list({ limit: 1 }, limited)).toMatchObject({ machines: [{ name: "barn" }], total: 2, online: 0 });
    expect(await list({ query: "attic" }, limited)).toMatchObject({ machines: [], total: 0 });
  });

  it.each([
    [{ limit: 0 }, "limit must be a whole number from 1 to 200"],
    [{ limit: 201 }, "limit must be a whole number from 1 to 200"],
    [{ limit: "2" }, "limit must be a whole number"],
    [{ cursor: "yesterday" }, "This is not a cursor of list_machines"],
    [{ cursor: 7 }, "This is not a cursor of list_machines"],
    [{ query: "x".repeat(254) }, "query must be a part of a name"],
    [{ query: 1 }, "query must be a part of a name"],
  ])("refuses %o, and says what to do", async (args, said) => {
    const refused = await user.tool("list_machines", args);
    expect(failureOf(refused)).toBe("invalid_request");
    expect(refused.content[0]?.text).toContain(said);
  });

  it("does not take a machine as online whose script stopped reporting", async () => {
    await add("attic");
    await user.report("attic", { online: true });
    const registry = env.USER.getByName(user.id);
    expect(await registry.onlineMachines(null)).toEqual(["attic"]);
    await registry.doubt("attic");
    expect(await registry.onlineMachines(null)).toEqual([]);
    expect(await list()).toMatchObject({ machines: [{ status: "offline" }], online: 0 });
  });

  it("does not count a machine as online whose script has not reported for the time of a lease", async () => {
    await add("attic");
    await user.report("attic", { online: true });
    expect(await list()).toMatchObject({ online: 1 });
    onTestFinished(() => void vi.useRealTimers());
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + PRESENCE_LEASE_MS + 1_000 });
    expect(await list()).toMatchObject({ machines: [{ status: "offline" }], online: 0 });
  });
});
