import { describe, expect, it, onTestFinished, vi } from "vitest";
import { EVENT_PAGE_BYTES, EVENT_PAGE_ROWS, MAX_EVENT_BYTES } from "#protocol/limits.ts";
import { failureOf, TestUser, type ToolResult } from "../support/operator.ts";

type Polled = {
  events: { machine: string; seq: number; session: string | null; type: string; data: unknown }[];
  cursor: string;
  more: boolean;
  gaps: string[];
};

function polledIn(result: ToolResult): Polled {
  if (result.isError === true) throw new Error(JSON.stringify(result));
  expect(JSON.parse(result.content[0]?.text ?? "")).toEqual(result.structuredContent);
  return result.structuredContent as unknown as Polled;
}

/** A poll that does not wait, unless told to. */
async function poll(user: TestUser, args: Record<string, unknown> = {}): Promise<Polled> {
  return polledIn(await user.tool("poll_events", { timeout_ms: 0, ...args }));
}

const numbered = (count: number) => Array.from({ length: count }, (_, index) => ({ data: { n: index + 1 } }));
const where = ({ events }: Polled): string[] => events.map(({ machine, seq }) => `${machine} ${seq}`);

describe("polling", () => {
  it("returns all machines' events as one log in order of arrival, and keeps each machine's order despite its clock", async () => {
    const alice = new TestUser();
    for (const name of ["attic", "cellar"]) await alice.machine(name);
    await alice.logs("attic", [{ atMs: 10 }, { atMs: 40 }, { atMs: 5 }]); // its clock went back
    await alice.logs("cellar", [{ atMs: 20 }, { atMs: 50 }]);
    const polled = await poll(alice);
    expect(where(polled)).toEqual(["attic 1", "attic 2", "attic 3", "cellar 1", "cellar 2"]);
    expect(polled).toMatchObject({ more: false, gaps: [] });
  });

  it("continues from its cursor and returns each event once", async () => {
    const alice = new TestUser();
    for (const name of ["attic", "cellar"]) await alice.machine(name);
    await alice.logs("attic", numbered(2));
    await alice.logs("cellar", numbered(1));
    const first = await poll(alice);
    await alice.logs("attic", numbered(4));
    const second = await poll(alice, { cursor: first.cursor });
    expect(where(second)).toEqual(["attic 3", "attic 4"]);
    expect(where(await poll(alice, { cursor: second.cursor }))).toEqual([]);
    expect(where(await poll(alice, { cursor: first.cursor }))).toEqual(["attic 3", "attic 4"]);
  });

  it("consumes nothing: two readers both read everything", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.logs("attic", numbered(2));
    const [one, other] = [await poll(alice), await poll(alice)];
    await alice.logs("attic", numbered(3));
    expect(where(await poll(alice, { cursor: one.cursor }))).toEqual(["attic 3"]);
    expect(where(await poll(alice, { cursor: other.cursor }))).toEqual(["attic 3"]);
  });

  it("names sessions in event data by handles, and leaves a server's own notifications unchanged", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    const asked = { request_id: "r", session_id: "3f2a", input: { session_id: "theirs" } };
    await alice.logs("attic", [
      { type: "session.created", session: "3f2a", data: { forked_from: "1b" } },
      { type: "permission.requested", session: "3f2a", data: asked },
      { type: "mcp.message", data: { session_id: "theirs" } },
    ]);
    expect((await poll(alice)).events).toMatchObject([
      { session: "attic/3f2a", data: { forked_from: "attic/1b" } },
      { session: "attic/3f2a", data: { ...asked, session_id: "attic/3f2a" } },
      { data: { session_id: "theirs" } },
    ]);
  });

  it("contacts no machine, and its cursor is as short with many machines as with one", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.logs("attic", numbered(1));
    const { cursor: ofOne } = await poll(alice);
    const names = Array.from({ length: 30 }, (_, index) => `machine-${index}`);
    for (const name of names) {
      await alice.machine(name);
      await alice.logs(name, numbered(2));
    }
    const polled = await poll(alice, { cursor: ofOne });
    expect(polled.events).toHaveLength(60);
    expect(polled.cursor.length).toBeLessThan(20);
    for (const name of ["attic", ...names]) expect(await alice.reached(name)).toEqual([]);
  });

  it("starts at the newest fifty events without a cursor", async () => {
    const alice = new TestUser();
    for (const name of ["attic", "cellar"]) await alice.machine(name);
    await alice.logs("attic", numbered(70));
    await alice.logs("cellar", numbered(10));
    const polled = await poll(alice);
    expect(polled.events).toHaveLength(50);
    expect(where(polled)[0]).toBe("attic 31");
    expect(polled.gaps).toEqual([]);
    expect((await poll(alice, { machineId: "attic" })).events.map(({ seq }) => seq)[0]).toBe(21);
  });

  it("of one session starts at that session's beginning without a cursor", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.logs("attic", [
      { session: "s1" },
      ...Array.from({ length: 70 }, () => ({ session: "s2" })),
      { session: "s1" },
    ]);
    const polled = await poll(alice, { session_id: "attic/s1" });
    expect(where(polled)).toEqual(["attic 1", "attic 72"]);
    expect(polled.gaps).toEqual([]);
  });

  it("returns all events of a machine that was added after the cursor was made", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.logs("attic", numbered(1));
    const { cursor } = await poll(alice);
    await alice.machine("cellar");
    await alice.logs("cellar", numbered(2));
    const polled = await poll(alice, { cursor });
    expect(where(polled)).toEqual(["cellar 1", "cellar 2"]);
    expect(polled.gaps).toEqual([]);
  });

  it("returns each message once, and its pieces only on request", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    const [before, text, whole] = [{ type: "message" }, { type: "message.delta" }, { type: "message" }];
    await alice.logs("attic", [before, text, text, whole]);
    const coarse = await poll(alice);
    expect(where(coarse)).toEqual(["attic 1", "attic 4"]);
    expect(where(await poll(alice, { detail: "deltas" }))).toEqual(["attic 1", "attic 2", "attic 3", "attic 4"]);
    await alice.logs("attic", [before, text, text, whole, text]);
    expect(where(await poll(alice, { cursor: coarse.cursor, detail: "deltas" }))).toEqual(["attic 5"]);
    expect(failureOf(await alice.tool("poll_events", { detail: "everything" }))).toBe("invalid_request");
  });

  it("waits on when only pieces of a message arrive, and collects events for a moment after the first one", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    const pieces = Array.from({ length: 3 }, () => ({ type: "message.delta" }));
    await alice.logs("attic", [{ type: "message" }]);
    const { cursor } = await poll(alice);
    const polled = poll(alice, { cursor, timeout_ms: 20_000 });
    await alice.logs("attic", [{ type: "message" }, ...pieces]);
    // The moment lasts for as long as the test says, so that a slow computer reports within it.
    const { promise: moment, resolve: end } = Promise.withResolvers<void>();
    const waits = vi.spyOn(scheduler, "wait").mockReturnValue(moment);
    onTestFinished(() => waits.mockRestore());
    await alice.logs("attic", [{ type: "message" }, ...pieces, { type: "message" }]);
    await expect.poll(() => waits.mock.calls.length).toBeGreaterThan(0);
    await alice.logs("attic", [{ type: "message" }, ...pieces, { type: "message" }, { type: "session.idle" }]);
    end();
    expect(where(await polled)).toEqual(["attic 5", "attic 6"]);
  });

  it("names sessions by handles that every session tool takes", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.logs("attic", [{ session: "s/1" }, { session: null }]);
    expect((await poll(alice)).events.map(({ session }) => session)).toEqual(["attic/s/1", null]);
  });

  it("reports that a page was cut, and the next poll returns the rest", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    const { cursor } = await poll(alice);
    await alice.logs("attic", numbered(EVENT_PAGE_ROWS + 5), { pageRows: 100 });
    const first = await poll(alice, { cursor });
    expect([first.more, first.events.length]).toEqual([true, EVENT_PAGE_ROWS]);
    const second = await poll(alice, { cursor: first.cursor });
    expect(second.more).toBe(false);
    expect([...first.events, ...second.events].map(({ seq }) => seq)).toEqual(
      Array.from({ length: EVENT_PAGE_ROWS + 5 }, (_, index) => index + 1),
    );
  });

  it("never returns a large page: large events are cut off, except the first", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    const { cursor } = await poll(alice);
    const data = "x".repeat(MAX_EVENT_BYTES - 2);
    await alice.logs(
      "attic",
      Array.from({ length: 10 }, () => ({ data })),
      { pageRows: 4 },
    );
    const seen: number[] = [];
    for (let next = { cursor, more: true }; next.more;) {
      const { events, ...rest } = await poll(alice, { cursor: next.cursor });
      expect(events.length * data.length).toBeLessThanOrEqual(EVENT_PAGE_BYTES);
      seen.push(...events.map(({ seq }) => seq));
      next = rest;
    }
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
});

describe("a gap", () => {
  it("is reported once for a machine whose log was trimmed after the cursor", async () => {
    const alice = new TestUser();
    for (const name of ["attic", "cellar"]) {
      await alice.machine(name);
      await alice.logs(name, numbered(2));
    }
    const { cursor } = await poll(alice);
    await alice.logs("attic", [{ seq: 8 }, { seq: 9 }]);
    await alice.logs("cellar", numbered(3));
    const polled = await poll(alice, { cursor });
    expect(polled.gaps).toEqual(["attic"]);
    expect(where(polled).toSorted()).toEqual(["attic 8", "attic 9", "cellar 3"]);
    await alice.logs("attic", [{ seq: 8 }, { seq: 9 }, { seq: 10 }]);
    expect((await poll(alice, { cursor: polled.cursor })).gaps).toEqual([]);
  });

  it("is reported for a machine whose log started again", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.logs("attic", numbered(5));
    const { cursor } = await poll(alice);
    await alice.logs("attic", numbered(1), { epoch: "another" });
    const polled = await poll(alice, { cursor });
    expect(polled.gaps).toEqual(["attic"]);
    expect(where(polled)).toEqual(["attic 1"]);
  });
});

describe("a filter", () => {
  it("by machine leaves out the other machines", async () => {
    const alice = new TestUser();
    for (const name of ["attic", "cellar"]) {
      await alice.machine(name);
      await alice.logs(name, numbered(1));
    }
    const { cursor } = await poll(alice);
    for (const name of ["attic", "cellar"]) await alice.logs(name, numbered(2));
    expect(where(await poll(alice, { cursor, machineId: "attic" }))).toEqual(["attic 2"]);
    expect(where(await poll(alice, { cursor, machineId: "cellar" }))).toEqual(["cellar 2"]);
  });

  it("by type takes types or prefixes of types", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    const types = ["message", "permission.requested", "permission.resolved", "session.idle", "permissive"];
    await alice.logs(
      "attic",
      types.map((type) => ({ type })),
    );
    for (const [type, expected] of [
      ["session.idle", ["attic 4"]],
      ["permission.*", ["attic 2", "attic 3"]],
      ["message, permission.resolved", ["attic 1", "attic 3"]],
      ["*", undefined],
      ["me[s]sage", undefined],
    ] as const) {
      const result = await alice.tool("poll_events", { timeout_ms: 0, type });
      if (expected === undefined) expect(failureOf(result)).toBe("invalid_request");
      else expect(where(polledIn(result))).toEqual(expected);
    }
  });

  it("by project returns that project's sessions on every machine", async () => {
    const alice = new TestUser();
    for (const name of ["attic", "cellar"]) {
      await alice.machine(name);
      await alice.logs(name, [
        { type: "session.created", session: "s1", data: { slug: "-src-api" } },
        { type: "session.created", session: "s2", data: { slug: "-src-web" } },
        { session: "s1" },
        { session: null },
      ]);
    }
    const polled = await poll(alice, { project: "-src-api" });
    expect(where(polled)).toEqual(["attic 1", "attic 3", "cellar 1", "cellar 3"]);
    const waiting = poll(alice, { project: "-src-api", cursor: polled.cursor, timeout_ms: 25_000 });
    await alice.logs("attic", [{}, {}, {}, {}, { session: "s2" }, { session: "s1" }]);
    expect(where(await waiting)).toEqual(["attic 6"]);
  });

  it.each([
    ["a handle", { session_id: "cellar/s1" }],
    ["a bare id and machineId", { session_id: "s1", machineId: "cellar" }],
    ["both, when they agree", { session_id: "cellar/s1", machineId: "cellar" }],
  ])("by session accepts %s", async (_, args) => {
    const alice = new TestUser();
    for (const name of ["attic", "cellar"]) {
      await alice.machine(name);
      await alice.logs(name, [{ session: "s1" }, { session: "s2" }]);
    }
    expect(where(await poll(alice, args))).toEqual(["cellar 1"]);
  });

  it.each([
    ["a bare id without a machine", { session_id: "s1" }, "invalid_request"],
    [
      "a handle that says another machine than machineId",
      { session_id: "cellar/s1", machineId: "attic" },
      "invalid_request",
    ],
    ["a machineId that is no name", { machineId: 7 }, "invalid_request"],
    ["a machine that is not there", { machineId: "nobody" }, "machine_unknown"],
    ["a session of a machine that is not there", { session_id: "nobody/s1" }, "machine_unknown"],
    ["what is no cursor", { cursor: "?" }, "invalid_request"],
  ])("is refused when it is %s", async (_, args, code) => {
    const alice = new TestUser();
    for (const name of ["attic", "cellar"]) await alice.machine(name);
    const result = await alice.tool("poll_events", { timeout_ms: 0, ...args });
    expect(failureOf(result)).toBe(code);
  });

  it("returns nothing for another user's machine or cursor", async () => {
    const [alice, bob] = [new TestUser(), new TestUser()];
    await bob.machine("attic");
    await bob.logs("attic", numbered(3));
    await alice.machine("cellar");
    const { cursor } = await poll(bob);
    expect(failureOf(await alice.tool("poll_events", { machineId: "attic", timeout_ms: 0 }))).toBe("machine_unknown");
    expect(failureOf(await alice.tool("poll_events", { cursor, timeout_ms: 0 }))).toBe("cursor_expired");
    expect((await poll(alice)).events).toEqual([]);
  });
});

describe("a machine whose script fails or has stopped", () => {
  it("does not delay readers: its earlier events and other machines' events are returned at once", async () => {
    const alice = new TestUser();
    for (const name of ["attic", "cellar"]) {
      await alice.machine(name);
      await alice.logs(name, numbered(2));
    }
    await alice.script("attic", { fails: { code: "machine_failed", machine: "attic", reason: "broken" } });
    await alice.script("cellar", { hangs: true });
    expect(where(await poll(alice))).toEqual(["attic 1", "attic 2", "cellar 1", "cellar 2"]);
  });
});

describe("a long poll", () => {
  it("waits, and answers when a machine reports a new event", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.logs("attic", numbered(1));
    const { cursor } = await poll(alice);
    const waiting = poll(alice, { cursor, timeout_ms: 25_000 });
    await alice.logs("attic", numbered(2));
    expect(where(await waiting)).toEqual(["attic 2"]);
  });

  it("wakes every reader of the machine or session with the new event, and no other", async () => {
    const alice = new TestUser();
    for (const name of ["attic", "cellar"]) {
      await alice.machine(name);
      await alice.logs(name, [{ session: "s1" }]);
    }
    const { cursor } = await poll(alice);
    const all = poll(alice, { cursor, timeout_ms: 25_000 });
    const ofOne = poll(alice, { cursor, timeout_ms: 25_000, machineId: "cellar" });
    const ofSession = poll(alice, { cursor, timeout_ms: 25_000, session_id: "cellar/s1" });
    await alice.logs("attic", [{ session: "s1" }, { session: "s1" }]);
    expect(where(await all)).toEqual(["attic 2"]);
    await alice.logs("cellar", [{ session: "s1" }, { session: "s2" }]);
    expect(where(await ofOne)).toEqual(["cellar 2"]);
    await alice.logs("cellar", [{ session: "s1" }, { session: "s2" }, { session: "s1" }]);
    expect(where(await ofSession)).toEqual(["cellar 3"]);
  });

  it("answers at once if there are events already", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.logs("attic", numbered(1));
    expect(where(await poll(alice, { timeout_ms: 25_000 }))).toEqual(["attic 1"]);
  });

  it.each([0, -5])(
    "with a wait of %i ms answers at once without events, and returns a valid cursor",
    async (timeout_ms) => {
      const alice = new TestUser();
      await alice.machine("attic");
      const polled = await poll(alice, { timeout_ms });
      expect(polled.events).toEqual([]);
      await alice.logs("attic", numbered(1));
      expect(where(await poll(alice, { cursor: polled.cursor }))).toEqual(["attic 1"]);
    },
  );

  it("still returns a removed machine's events, until another machine gets its name", async () => {
    const alice = new TestUser();
    for (const name of ["attic", "cellar"]) {
      await alice.machine(name);
      await alice.logs(name, numbered(1));
    }
    await alice.rest("DELETE", "/api/machines/attic");
    expect(where(await poll(alice))).toEqual(["attic 1", "cellar 1"]);
    expect(where(await poll(alice, { machineId: "attic" }))).toEqual(["attic 1"]);
    await alice.register("attic", { identity: "identity-of-another" });
    await alice.logs("attic", numbered(2), { epoch: "e2" });
    expect(where(await poll(alice, { machineId: "attic" }))).toEqual(["attic 1", "attic 2"]);
    expect((await poll(alice)).events).toHaveLength(4);
  });
});
