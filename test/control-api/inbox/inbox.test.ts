import { beforeEach, describe, expect, it } from "vitest";
import { env, failureOf, type RpcAnswer, TestUser } from "../support/operator.ts";
import { asked, QUESTION, questioned, settled, taken } from "./support/asking.ts";

type Item = Record<string, unknown> & { id: number; machine: string; request_id: string; state: string };

const DECIDE = "POST /operator/decide";

describe("the inbox", () => {
  let user: TestUser;
  beforeEach(async () => {
    user = new TestUser();
    await user.machine("attic");
    await user.machine("cellar");
  });

  async function pending(query = ""): Promise<Item[]> {
    return (await user.json<{ pending: Item[] }>(`/api/inbox${query}`)).pending;
  }

  /** Decides as the inbox page does, which has checked that a person is there. */
  async function decide(
    id: number,
    behavior: "allow" | "deny",
    more: object = {},
    name = "Ann",
  ): Promise<Record<string, unknown>> {
    const result = await env.USER.getByName(user.id).decide(id, { behavior, ...more }, { via: "page", name });
    return result as unknown as Record<string, unknown>;
  }

  async function idOf(request: string): Promise<number> {
    return (await pending()).find((one) => one.request_id === request)?.id ?? 0;
  }

  async function decisionsAt(machine: string): Promise<Record<string, unknown>[]> {
    const reached = await user.reached(machine);
    return reached.flatMap(({ path, body }) => (path === "/operator/decide" ? [JSON.parse(body)] : []));
  }

  it("lists the waiting requests of all machines in full, with machine, project, session, start and deadline", async () => {
    const created = { type: "session.created", session: "s-1", data: { slug: "api", cwd: "/home/ann/api" } };
    await user.logs("attic", [created, asked("r-1"), questioned("r-2")]);
    await user.logs("cellar", [asked("r-1", { input: { command: "ls" } })]);
    const items = await pending();
    expect(items.map(({ machine, request_id: request }) => `${machine} ${request}`)).toEqual([
      "attic r-1",
      "attic r-2",
      "cellar r-1",
    ]);
    expect(items[0]).toMatchObject({
      kind: "permission",
      state: "waiting",
      session_id: "attic/s-1",
      slug: "api",
      tool: "Bash",
      input: { command: "rm -rf build" },
      is_whole: true,
    });
    expect(Number(items[0]?.["expires_at_ms"])).toBeGreaterThan(Date.now() + 3_500_000);
    expect(items[1]).toMatchObject({ kind: "question", questions: [QUESTION] });
    const listed = await user.tool("list_pending", { session_id: "cellar/s-1" });
    expect(listed.structuredContent).toMatchObject({
      pending: [{ machine: "cellar" }],
      answer_at: expect.stringMatching(/\/inbox$/),
    });
  });

  it("contacts no machine, and drops requests that a machine settled itself", async () => {
    await user.logs("attic", [asked("r-1"), asked("r-2"), settled("r-1", { settled_by: "machine" })]);
    expect((await pending()).map(({ request_id: request }) => request)).toEqual(["r-2"]);
    const [done] = await pending("?state=settled");
    expect(done).toMatchObject({
      request_id: "r-1",
      settled: { behavior: "allow", by: 'somebody at machine "attic"' },
    });
    expect((await user.reached("attic")).filter(({ path }) => path !== "/operator/close")).toEqual([]);
  });

  it("ends a session's requests when its turn is over, its machine removed, or its history deleted", async () => {
    await user.logs("attic", [
      asked("r-1"),
      asked("r-2", { session: "s-2" }),
      { type: "session.idle", session: "s-1" },
    ]);
    expect((await pending()).map(({ request_id: request }) => request)).toEqual(["r-2"]);
    await user.logs("cellar", [asked("r-3")]);
    await user.rest("DELETE", "/api/machines/cellar");
    expect((await pending()).map(({ request_id: request }) => request)).toEqual(["r-2"]);
    expect((await pending("?state=settled"))[0]).toMatchObject({ settled: { by: "nobody: its machine was removed" } });
    await user.rest("DELETE", "/api/history?machine=attic");
    expect(await pending()).toEqual([]);
  });

  it("lists a request once, however often its machine pushes it", async () => {
    await user.logs("attic", [asked("r-1")]);
    const push = {
      after: 0,
      events: [{ seq: 1, atMs: 0, session: "s-1", ...asked("r-1") }],
      position: { epoch: "e", seq: 1 },
      gap: false,
      more: false,
    };
    await user.report("attic", { position: { epoch: "e", seq: 1 } }, undefined, { push: push as never });
    expect(await pending()).toHaveLength(1);
  });

  it("forwards a decision, and counts it as settled only when the machine confirms it", async () => {
    await user.logs("attic", [asked("r-1")]);
    await user.script("attic", { answers: { [DECIDE]: taken("allow") } });
    const { item } = await decide(await idOf("r-1"), "allow");
    expect(item).toMatchObject({ settled: { behavior: "allow", by: "operator", who: "Ann" } });
    expect(await decisionsAt("attic")).toEqual([{ request: "r-1", behavior: "allow", by: "Ann" }]);
    expect(await pending()).toEqual([]);
  });

  it("lets the first answer win: a repeated answer is accepted, and another is told who decided what, and when", async () => {
    await user.logs("attic", [asked("r-1")]);
    await user.script("attic", { answers: { [DECIDE]: taken("deny") } });
    const id = await idOf("r-1");
    // Calls of one stub arrive in their order.
    const registry = env.USER.getByName(user.id);
    const decided = (await Promise.all([
      registry.decide(id, { behavior: "deny" }, { via: "page", name: "Ann" }),
      registry.decide(id, { behavior: "allow" }, { via: "page", name: "Bob" }),
      registry.decide(id, { behavior: "deny" }, { via: "page", name: "Cleo" }),
    ])) as unknown as Record<string, unknown>[];
    expect(decided.map((one) => one["code"] ?? "ok")).toEqual(["ok", "already_decided", "ok"]);
    expect(decided[1]).toMatchObject({ behavior: "deny", by: "Ann", atMs: expect.any(Number) });
    expect(decided[2]).toMatchObject({ isFirst: false });
    expect(await decisionsAt("attic")).toHaveLength(1);
  });

  it("reports who decided at the machine, if that was earlier than the decision here", async () => {
    await user.logs("attic", [asked("r-1")]);
    const body = JSON.stringify({
      code: "request_settled",
      error: "x",
      settled: { behavior: "deny", by: "machine", who: null, reason: null, answers: null, atMs: 9 },
    });
    await user.script("attic", { answers: { [DECIDE]: { status: 409, body } } });
    expect(await decide(await idOf("r-1"), "allow")).toMatchObject({
      code: "already_decided",
      behavior: "deny",
      by: 'somebody at machine "attic"',
      atMs: 9,
    });
  });

  it("delivers a decision once when its machine is back, unless it was settled in the meantime", async () => {
    await user.logs("attic", [asked("r-1"), asked("r-2")]);
    await user.script("attic", { fails: { code: "machine_offline", machine: "attic", lastSeenMs: null } });
    const [first, second] = [await idOf("r-1"), await idOf("r-2")];
    expect(await decide(first, "allow")).toMatchObject({ item: { settled: null, decision: { deliveredMs: null } } });
    expect(await decide(second, "deny")).toMatchObject({ item: { settled: null } });
    expect((await pending()).map(({ state }) => state)).toEqual(["deciding", "deciding"]);
    expect(await decide(first, "deny")).toMatchObject({ code: "already_decided", by: "Ann" });
    const before = (await decisionsAt("attic")).length;
    await user.logs("attic", [asked("r-1"), asked("r-2"), settled("r-2", { behavior: "deny", settled_by: "expiry" })]);
    await user.script("attic", { answers: { [DECIDE]: taken("allow") } });
    await user.report("attic", { epoch: 2, position: { epoch: "e", seq: 3 } });
    await expect.poll(() => pending()).toEqual([]);
    expect((await decisionsAt("attic")).slice(before).filter(({ request }) => request === "r-2")).toEqual([]);
    expect((await pending("?state=settled")).map(({ settled: one }) => (one as { by: string }).by)).toEqual([
      "nobody: its time was up",
      "Ann",
    ]);
  });

  it("reverts a decision that the machine refuses, and gives the reason", async () => {
    await user.logs("attic", [asked("r-1")]);
    const body = JSON.stringify({ code: "pages_not_allowed", error: "Not from pages." });
    await user.script("attic", { answers: { [DECIDE]: { status: 403, body } } });
    expect(await decide(await idOf("r-1"), "allow")).toEqual({ code: "forbidden", reason: "Not from pages." });
    expect((await pending())[0]).toMatchObject({ state: "waiting" });
  });

  it("uses the server's own tool where no program takes people's decisions, and reports its answer", async () => {
    await user.logs("attic", [asked("r-1")]);
    const decide404 = { status: 404, body: JSON.stringify({ code: "no_serve", error: "x" }) };
    const result = { structuredContent: { ok: true }, content: [] };
    const answered: RpcAnswer & { jsonrpc: string } = { jsonrpc: "2.0", id: "1", result };
    await user.script("attic", {
      answers: {
        [DECIDE]: decide404,
        "tools/call respond_permission": {
          body: JSON.stringify(answered),
          headers: { "content-type": "application/json" },
        },
      },
    });
    expect(await decide(await idOf("r-1"), "deny", { reason: "no" })).toMatchObject({
      item: { settled: { behavior: "deny" } },
    });
    const calls = (await user.reached("attic")).filter(({ path }) => path === "/operator/call");
    expect(JSON.parse(calls.at(-1)?.body ?? "").params.arguments).toEqual({
      session_id: "s-1",
      request_id: "r-1",
      behavior: "deny",
      reason: "no",
    });
  });

  it("refuses to allow a request that is not shown in full, and answers that do not fit the questions", async () => {
    await user.logs("attic", [
      asked("r-1", { is_whole: false }),
      questioned("r-2"),
      asked("r-3", { why: "x".repeat(5_000) }),
    ]);
    for (const request of ["r-1", "r-3"])
      expect(await decide(await idOf(request), "allow")).toMatchObject({
        code: "invalid_request",
        reason: expect.stringContaining("codez permissions"),
      });
    for (const answers of [undefined, {}, { "Which database?": "SQLite", "And?": "x" }])
      expect(await decide(await idOf("r-2"), "allow", { ...(answers && { answers }) })).toMatchObject({
        code: "invalid_request",
      });
    expect(await decisionsAt("attic")).toEqual([]);
    await user.script("attic", { answers: { [DECIDE]: taken("allow", { answers: { "Which database?": "SQLite" } }) } });
    expect(await decide(await idOf("r-2"), "allow", { answers: { "Which database?": "SQLite" } })).toMatchObject({
      isFirst: true,
    });
  });

  it("limits the requests of one machine, and keeps those of others", async () => {
    await user.logs("cellar", [asked("c-1")]);
    await user.logs(
      "attic",
      Array.from({ length: 230 }, (_, index) => asked(`r-${index}`)),
    );
    let all: Item[] = [];
    for (let cursor: string | null = ""; cursor !== null;) {
      const page: { pending: Item[]; cursor: string | null } = await user.json(
        `/api/inbox${cursor && `?cursor=${cursor}`}`,
      );
      all = [...all, ...page.pending];
      ({ cursor } = page);
    }
    expect(all.filter(({ machine }) => machine === "attic")).toHaveLength(200);
    expect(all.filter(({ machine }) => machine === "cellar")).toHaveLength(1);
  });

  it("shows a limited token only its machines, and lets no token decide unless its person allowed that for the machine", async () => {
    await user.logs("attic", [asked("r-1")]);
    await user.logs("cellar", [asked("r-2")]);
    const made = await env.USER.getByName(user.id).createToken(
      "narrow",
      { scopes: ["mcp:tools"], machines: ["attic"], expiresMs: null, callsPerDay: null } as never,
      { credential: null } as never,
    );
    const narrow = new TestUser(user.id, (made as unknown as { token: string }).token);
    const seen = await narrow.json<{ pending: Item[] }>("/api/inbox");
    expect(seen.pending.map(({ machine }) => machine)).toEqual(["attic"]);
    const [attic, cellar] = [await idOf("r-1"), await idOf("r-2")];
    expect((await narrow.fetch(`/api/inbox/${cellar}`)).status).toBe(404);
    expect((await narrow.rest("POST", `/api/inbox/${cellar}`, { behavior: "allow" })).status).toBe(404);
    for (const by of [narrow, user]) {
      const refused = await by.rest("POST", `/api/inbox/${attic}`, { behavior: "allow" });
      expect(refused.status).toBe(403);
      expect(await refused.json()).toMatchObject({ error: { code: "approval_not_allowed" } });
    }
    expect(
      failureOf(
        await narrow.tool("respond_permission", { session_id: "attic/s-1", request_id: "r-1", behavior: "allow" }),
      ),
    ).toBe("approval_not_allowed");
    await env.USER.getByName(user.id).setRemoteApproval("attic", true, null);
    const result = {
      structuredContent: {
        settled: { behavior: "allow", by: "client", who: null, reason: null, answers: null, atMs: 7 },
      },
      content: [],
    };
    const body = JSON.stringify({ jsonrpc: "2.0", id: "1", result });
    await user.script("attic", {
      answers: { "tools/call respond_permission": { body, headers: { "content-type": "application/json" } } },
    });
    const allowed = await narrow.rest("POST", `/api/inbox/${attic}`, { behavior: "allow" });
    expect(await allowed.json()).toMatchObject({ state: "settled", settled: { behavior: "allow" } });
    // A token's decision goes the way of clients, which the machine's own policy can refuse.
    expect(await decisionsAt("attic")).toEqual([]);
  });

  it("hides from a token the requests of a computer that lost its name", async () => {
    await user.logs("attic", [asked("r-1")]);
    const id = await idOf("r-1");
    await user.register("attic", { identity: "identity-of-another-computer", replace: true });
    expect(await env.USER.getByName(user.id).inboxItem(["attic"], id)).toBeNull();
    expect(await decide(id, "allow")).toMatchObject({ code: "already_decided" });
  });

  it.each([
    ["no request id", { request_id: 7 }],
    ["a huge request id", { request_id: "x".repeat(5_000) }],
    ["odd fields", { tool: 7, why: {}, cwd: [], asked_at_ms: "now", expires_at_ms: Number.NaN, input: undefined }],
    ["data of another kind", null],
  ])("is not confused by an event with %s", async (_, data) => {
    await user.logs("attic", [
      {
        type: "permission.requested",
        session: "s-1",
        data: data === null ? "x" : { ...(asked("r-1").data as object), ...data },
      },
      asked("r-2"),
    ]);
    expect((await pending()).map(({ request_id: request }) => request)).toContain("r-2");
  });
});
