import { describe, expect, it, onTestFinished, vi } from "vitest";
import { failureOf, TestUser, type ToolResult } from "../../support/operator.ts";

type Session = Record<string, unknown> & { session_id: string; machine: string; state: string };
type Listed = { sessions: Session[]; cursor: string | null };

function told<Told = Listed>(result: ToolResult): Told {
  if (result.isError === true) throw new Error(JSON.stringify(result));
  return result.structuredContent as unknown as Told;
}

async function list(user: TestUser, args: Record<string, unknown> = {}): Promise<Listed> {
  return told(await user.tool("list_sessions", args));
}

const ids = ({ sessions }: Listed): string[] => sessions.map(({ session_id: id }) => id);

const created = (session: string, slug = "-src-api", atMs = 1) => ({
  type: "session.created",
  session,
  atMs,
  data: { slug, cwd: "/src/api", model: "opus" },
});
const said = (session: string, role: string, text: string, atMs = 2) => ({
  type: "message",
  session,
  atMs,
  data: { role, parts: [{ type: "text", text }] },
});

const OFFLINE = { code: "machine_offline", machine: "attic", lastSeenMs: 5 } as const;

/** A tool's answer as a coding machine gives it. */
const answer = (structuredContent: object) => ({
  headers: { "content-type": "application/json" },
  body: JSON.stringify({
    jsonrpc: "2.0",
    id: "operator-1",
    result: { content: [{ type: "text", text: JSON.stringify(structuredContent) }], structuredContent },
  }),
});

describe("the list of sessions over all machines", () => {
  it("contains what their events reported, newest first, and contacts no machine", async () => {
    const alice = new TestUser();
    for (const name of ["attic", "cellar"]) await alice.machine(name);
    await alice.logs("attic", [
      created("s1"),
      said("s1", "user", "Fix the\n  flaky test", 10),
      said("s1", "assistant", "Done: it waits for the clock now.", 20),
      {
        type: "session.idle",
        session: "s1",
        atMs: 30,
        data: { outcome: "done", cost_usd: 0.25, result: "It is fixed." },
      },
    ]);
    await alice.logs("cellar", [
      created("s2", "-src-web", 40),
      { type: "permission.requested", session: "s2", atMs: 50, data: { request_id: "r" } },
    ]);
    await alice.report("cellar", { online: true, epoch: 2, position: { epoch: "e", seq: 2 } });
    const listed = await list(alice);
    expect(listed).toMatchObject({
      sessions: [
        { session_id: "cellar/s2", machine: "cellar", machine_status: "online", state: "waiting", slug: "-src-web" },
        {
          session_id: "attic/s1",
          machine: "attic",
          slug: "-src-api",
          cwd: "/src/api",
          title: "Fix the flaky test",
          state: "idle",
          model: "opus",
          created_at_ms: 1,
          updated_at_ms: 30,
          last_message: "It is fixed.",
          cost_usd: 0.25,
        },
      ],
      cursor: null,
    });
    for (const name of ["attic", "cellar"]) expect(await alice.reached(name)).toEqual([]);
  });

  it("says which model a session has had since its last turn", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    const idle = { type: "session.idle", session: "s1", atMs: 3, data: { outcome: "done", model: "sonnet" } };
    await alice.logs("attic", [{ ...created("s1"), data: { slug: "-src-api", model: null } }, idle]);
    expect(await list(alice)).toMatchObject({ sessions: [{ state: "idle", model: "sonnet" }] });
  });

  it("shows a session in a terminal as waiting until its request is settled, although its file goes on growing", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    const about = { slug: "-src-api", cwd: "/src/api", model: "opus" };
    const asked = { type: "permission.requested", session: "s1", atMs: 1, data: { request_id: "r", cwd: "/src/api" } };
    const grown = { type: "session.updated", session: "s1", atMs: 2, data: { status: "mirror", ...about } };
    const settled = {
      type: "permission.resolved",
      session: "s1",
      atMs: 3,
      data: { request_id: "r", behavior: "allow" },
    };
    await alice.logs("attic", [asked]);
    expect(await list(alice)).toMatchObject({ sessions: [{ state: "waiting", cwd: "/src/api", slug: null }] });
    await alice.logs("attic", [asked, grown]);
    expect(await list(alice)).toMatchObject({ sessions: [{ state: "waiting", ...about }] });
    await alice.logs("attic", [asked, grown, settled, { ...grown, atMs: 4 }]);
    expect(await list(alice)).toMatchObject({ sessions: [{ state: "idle" }] });
  });

  it("filters by machine, project and state, and has pages", async () => {
    const alice = new TestUser();
    for (const name of ["attic", "cellar"]) await alice.machine(name);
    await alice.logs("attic", [created("a", "-x", 10), created("b", "-y", 20), created("c", "-x", 30)]);
    await alice.logs("cellar", [
      created("d", "-x", 40),
      { type: "session.updated", session: "d", atMs: 41, data: { status: "busy" } },
    ]);
    expect(ids(await list(alice, { machineId: "attic" }))).toEqual(["attic/c", "attic/b", "attic/a"]);
    expect(ids(await list(alice, { slug: "-x" }))).toEqual(["cellar/d", "attic/c", "attic/a"]);
    expect(ids(await list(alice, { state: "running" }))).toEqual(["cellar/d"]);
    const first = await list(alice, { limit: 3 });
    expect(ids(first)).toEqual(["cellar/d", "attic/c", "attic/b"]);
    const second = await list(alice, { limit: 3, cursor: first.cursor });
    expect([ids(second), second.cursor]).toEqual([["attic/a"], null]);
    for (const args of [{ state: "asleep" }, { limit: 0 }, { cursor: "?" }, { slug: 1 }])
      expect(failureOf(await alice.tool("list_sessions", args))).toBe("invalid_request");
    expect(failureOf(await alice.tool("list_sessions", { machineId: "nobody" }))).toBe("machine_unknown");
  });

  it("keeps a removed machine's sessions with a status of their own", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.logs("attic", [created("s1"), said("s1", "user", "hello")]);
    await alice.rest("DELETE", "/api/machines/attic");
    expect((await list(alice)).sessions).toMatchObject([
      { session_id: "attic/s1", state: "machine_gone", machine_status: "gone", title: "hello" },
    ]);
    expect(ids(await list(alice, { state: "machine_gone" }))).toEqual(["attic/s1"]);
    expect(ids(await list(alice, { state: "idle" }))).toEqual([]);
  });

  it("has only sessions of machines that the token may see", async () => {
    const alice = new TestUser();
    for (const name of ["attic", "cellar"]) {
      await alice.machine(name);
      await alice.logs(name, [created("s")]);
    }
    const made = await alice.rest("POST", "/api/tokens", {
      label: "t",
      scopes: ["operator:read"],
      machines: ["attic"],
    });
    const { token }: { token: string } = await made.json();
    expect(ids(await list(new TestUser(alice.id, token)))).toEqual(["attic/s"]);
    expect((await list(new TestUser())).sessions).toEqual([]);
  });

  it("keeps its order and size whatever a machine claims", async () => {
    const alice = new TestUser();
    for (const name of ["attic", "cellar"]) await alice.machine(name);
    await alice.logs("attic", [
      {
        ...created("evil", "s".repeat(1_000)),
        atMs: 9e15,
        data: { slug: "s".repeat(1_000), model: 7, cwd: "c".repeat(5_000) },
      },
      said("evil", "user", "x".repeat(60_000), 9e15),
      { type: "session.idle", session: "evil", atMs: 9e15, data: { cost_usd: 1e300, result: { a: 1 } } },
    ]);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 1_000 }); // both machines claim a time to come; arrival counts
    onTestFinished(() => void vi.useRealTimers());
    await alice.logs("cellar", [created("s", "-x", Date.now() + 1e12)]);
    const { sessions } = await list(alice);
    expect(sessions.map(({ machine }) => machine)).toEqual(["cellar", "attic"]);
    const [, evil] = sessions;
    expect(evil).toMatchObject({ slug: null, cwd: null, model: null, cost_usd: null });
    expect(JSON.stringify(evil).length).toBeLessThan(1_000);
    expect(evil?.["updated_at_ms"]).toBeLessThanOrEqual(Date.now());
  });

  it("learns of sessions from machines' answers about them", async () => {
    const alice = new TestUser();
    const rows = [
      { session_id: "old", title: "From long ago", status: "idle", created_at_ms: 10, updated_at_ms: 20, cost_usd: 1 },
    ];
    await alice.machine("attic", {
      answers: {
        "tools/call list_sessions": answer({ slug: "-x", sessions: rows, total: 1, cursor: null }),
        "tools/call create_session": answer({ session_id: "new", slug: "-x", cwd: "/x" }),
      },
    });
    const listed = await list(alice, { machineId: "attic", slug: "-x" });
    expect(listed).toMatchObject({ sessions: [{ session_id: "attic/old", title: "From long ago" }], total: 1 });
    await alice.tool("create_session", { machineId: "attic", slug: "-x" });
    const all = await list(alice);
    expect(all.sessions).toMatchObject([
      { session_id: "attic/new", slug: "-x", cwd: "/x", state: "idle" },
      { session_id: "attic/old", slug: "-x", title: "From long ago", updated_at_ms: 20, cost_usd: 1 },
    ]);
  });

  it("of an offline machine's project shows what was seen of it", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.logs("attic", [created("s1"), created("s2", "-y")]);
    await alice.script("attic", { fails: OFFLINE });
    expect(ids(await list(alice, { machineId: "attic", slug: "-src-api" }))).toEqual(["attic/s1"]);
  });
});

describe("reading a session of a machine that does not answer", () => {
  it("returns what was seen of it and says that this is incomplete", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.logs("attic", [created("s1"), said("s1", "user", "hello")]);
    await alice.script("attic", { fails: OFFLINE });
    const seen = told<Record<string, unknown>>(await alice.tool("get_session", { session_id: "attic/s1" }));
    expect(seen).toMatchObject({
      session: { session_id: "attic/s1", title: "hello", machine_status: "online" },
      messages: [],
      note: expect.stringContaining("cannot be asked"),
      unreachable: { code: "machine_offline" },
    });
    expect(failureOf(await alice.tool("get_session", { session_id: "attic/unknown" }))).toBe("machine_offline");
    await alice.rest("DELETE", "/api/machines/attic");
    await alice.script("attic", { fails: { code: "machine_unknown", machine: "attic" } });
    const gone = told<Record<string, unknown>>(await alice.tool("get_session", { session_id: "attic/s1" }));
    expect(gone).toMatchObject({ session: { state: "machine_gone" }, note: expect.stringContaining("removed") });
  });
});

describe("a search over all machines", () => {
  const found = (...names: string[]) => ({
    answers: {
      "tools/call search_sessions": answer({
        sessions: names.map((session_id) => ({ session_id, title: "t", matches: [{ at_ms: 1, handle: "1.0" }] })),
      }),
    },
  });

  type Found = { sessions: Session[]; by_title: Session[]; unanswered: { machine: string; code: string }[] };

  it("asks all online machines at once, merges the best results, names those that did not answer, and finds others' sessions by title", async () => {
    const alice = new TestUser();
    for (const name of ["attic", "barn", "cellar", "loft", "shed"]) {
      await alice.machine(name);
      await alice.logs(name, [created("s"), said("s", "user", `Migration of ${name}`)]);
      if (name !== "loft") await alice.report(name, { online: true, epoch: 2, position: { epoch: "e", seq: 2 } });
    }
    await alice.report("loft", { online: false, epoch: 2, position: { epoch: "e", seq: 2 } });
    await alice.rest("DELETE", "/api/machines/shed");
    await alice.script("attic", found("a1", "a2"));
    await alice.script("barn", { fails: { code: "link_lost", machine: "barn" } });
    await alice.script("cellar", found("c1"));
    const search = told<Found>(await alice.tool("search_sessions", { query: "migration" }));
    expect(search.sessions.map(({ session_id: id }) => id)).toEqual(["attic/a1", "cellar/c1", "attic/a2"]);
    expect(search.unanswered).toMatchObject([{ machine: "barn", code: "link_lost" }]);
    expect(search.by_title.map(({ session_id: id }) => id).toSorted()).toEqual(["barn/s", "loft/s", "shed/s"]);
    expect(await alice.reached("loft")).toEqual([]);
  });

  it("takes no text of any size, of which each machine would get a copy", async () => {
    const alice = new TestUser();
    await alice.machine("attic", found("a1"));
    await alice.report("attic", { online: true });
    const search = (length: number) => alice.tool("search_sessions", { query: "x".repeat(length) });
    expect(told<Found>(await search(1_000)).sessions).toHaveLength(1);
    expect(failureOf(await search(1_001))).toBe("invalid_request");
  });

  it("skips machines that are not coding machines", async () => {
    const alice = new TestUser();
    const body = JSON.stringify({
      jsonrpc: "2.0",
      id: "operator-1",
      error: { code: -32602, message: "Unknown tool: search_sessions" },
    });
    await alice.machine("attic", {
      answers: { "tools/call search_sessions": { headers: { "content-type": "application/json" }, body } },
    });
    await alice.report("attic", { online: true });
    expect(told<Found>(await alice.tool("search_sessions", { query: "x" }))).toEqual({
      sessions: [],
      by_title: [],
      unanswered: [],
    });
  });
});
