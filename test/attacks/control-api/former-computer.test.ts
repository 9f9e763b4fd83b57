// Root cause: what a computer had told was kept under its name. When another computer took the name over, it took the history over
// as well, and a token that was limited to the new computer read what had happened on the old one.
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { errorResponse } from "#protocol/error.ts";
import { MergedLog } from "../../../control-api/src/history/merged-log.ts";
import { SessionIndex } from "../../../control-api/src/history/session-index.ts";
import type { User } from "../../../control-api/src/user/user.ts";
import { FACTS } from "../../control-api/support/facts.ts";
import { env, TestUser } from "../../control-api/support/operator.ts";

type Told = { events: { type: string }[]; sessions: { session_id: string; state: string }[] };

const SECRET = { type: "session.created", session: "s1", data: { title: "the old computer's secret", slug: "p" } };
const ANOTHER = { identity: "identity-of-another", replace: true };

let alice: TestUser;
beforeEach(async () => {
  alice = new TestUser();
  await alice.machine("attic");
  await alice.logs("attic", [SECRET]);
});

/** Somebody with a new token that is limited to the computer which has the name now. */
async function narrow(): Promise<TestUser> {
  const made = await alice.rest("POST", "/api/tokens", {
    label: "narrow",
    scopes: ["operator:read"],
    machines: ["attic"],
  });
  return new TestUser(alice.id, (await made.json<{ token: string }>()).token);
}

async function seenBy(user: TestUser): Promise<string> {
  const answers = [
    await user.tool("poll_events", { timeout_ms: 0 }),
    await user.tool("poll_events", { timeout_ms: 0, machineId: "attic" }),
    await user.tool("poll_events", { timeout_ms: 0, session_id: "attic/s1" }),
    await user.tool("list_sessions"),
    await user.tool("list_sessions", { state: "machine_gone" }),
    await user.tool("search_sessions", { query: "secret" }),
    await user.json("/api/machines/attic"),
  ];
  return JSON.stringify(answers);
}

test("a computer that takes over a name does not get the history of the former computer", async () => {
  await alice.report("attic", { facts: { ...FACTS, hostname: "old-secret-host" }, position: { epoch: "e", seq: 1 } });
  expect(await seenBy(alice)).toContain("old-secret-host");
  await alice.register("attic", ANOTHER);
  const seen = await seenBy(await narrow());
  expect(seen).not.toContain("secret");
  expect(seen).not.toContain("session.created");
});

test("nor does it count as online because the former one was, and its script keeps nothing of that one", async () => {
  expect(await alice.json("/api/machines/attic")).toMatchObject({ status: "online" });
  await alice.register("attic", ANOTHER);
  expect(await alice.json("/api/machines")).toMatchObject({ machines: [{ status: "offline" }] });
  const orders = (await alice.reached("attic")).filter(({ path }) => path === "/operator/forget");
  expect(orders.map(({ body }): unknown => JSON.parse(body))).toEqual([{ session: null }]);
});

test("its script is asked again to forget the former one if it was still starting", async () => {
  const asked: string[] = [];
  const { DISPATCHER } = env;
  const fetched = DISPATCHER.fetch.bind(DISPATCHER);
  const dispatched = vi.spyOn(DISPATCHER, "fetch").mockImplementation((request, init) => {
    const { pathname } = new URL((request as Request).url);
    if (pathname === "/operator/forget" && asked.push(pathname) === 1)
      return Promise.resolve(errorResponse({ code: "machine_starting", machine: "attic" }));
    return fetched(request, init);
  });
  onTestFinished(() => dispatched.mockRestore());
  await alice.register("attic", ANOTHER);
  expect(asked).toHaveLength(2);
});

test("its script's log keeps its numbering, and new events belong to the new computer", async () => {
  await alice.register("attic", ANOTHER);
  await alice.logs("attic", [SECRET, { type: "session.created", session: "s2", data: { title: "new" } }]);
  const listed = (await (await narrow()).tool("list_sessions")).structuredContent as unknown as Told;
  expect(listed.sessions.map(({ session_id: id }) => id)).toEqual(["attic/s2"]);
  const seen = (await (await narrow()).tool("poll_events", { timeout_ms: 0 })).structuredContent as unknown as Told;
  expect(seen.events).toHaveLength(1);
});

test("their owner still sees both, with the former computer's sessions marked as gone", async () => {
  await alice.register("attic", ANOTHER);
  const listed = (await alice.tool("list_sessions")).structuredContent as unknown as Told;
  expect(listed.sessions).toMatchObject([{ session_id: "attic/s1", state: "machine_gone" }]);
  const seen = (await alice.tool("poll_events", { timeout_ms: 0 })).structuredContent as unknown as Told;
  expect(seen.events).toHaveLength(1);
});

test("a computer that was removed and set up again goes on with its own history, as after it lost its name and got it back", async () => {
  await alice.rest("DELETE", "/api/machines/attic");
  await alice.register("attic", { identity: ANOTHER.identity });
  await alice.logs("attic", [{ type: "session.created", session: "s2", data: { title: "of another" } }], {
    epoch: "f",
  });
  expect(await seenBy(await narrow())).not.toContain("secret");
  await alice.rest("DELETE", "/api/machines/attic");
  await alice.machine("attic");
  await alice.logs("attic", [{ type: "session.created", session: "s3", data: { title: "of now" } }], { epoch: "g" });
  const listed = (await (await narrow()).tool("list_sessions")).structuredContent as unknown as Told;
  expect(listed.sessions.map(({ session_id: id }) => id).toSorted()).toEqual(["attic/s1", "attic/s3"]);
  expect(await seenBy(await narrow())).not.toContain("of another");
});

test("a computer that gets its name back sees its own history again, and none of the other's", () => {
  const object = env.USER.getByName(`log-${crypto.randomUUID()}`) as unknown as DurableObjectStub<User>;
  return runInDurableObject(object, (_, { storage }) => {
    const sessions = new SessionIndex(storage.sql);
    const log = new MergedLog(storage.sql);
    const tell = (seq: number, session: string): void => {
      const events = [{ seq, atMs: seq, type: "message", session, data: null }];
      const position = { epoch: "e", seq };
      const { machine, added } = log.push(
        "attic-slug",
        "attic",
        { after: seq - 1, events, position, gap: false, more: false },
        seq,
        9,
      );
      sessions.note(machine, added, 9);
    };
    const pass = (from: string, to: string, atMs: number): void => {
      storage.sql.exec("UPDATE machine SET identity = ?", to);
      log.machines.pass("attic", { from, to }, atMs);
    };
    const seen = (computer: string): string[] => {
      const ids = log.idsFor([computer], null, () => true) ?? null;
      const query = { ids, project: null, state: null, words: [], before: null, limit: 9 };
      return sessions.list(query).sessions.map(({ session }) => session);
    };
    storage.sql.exec(
      "INSERT INTO machine (name, slug, identity, link_token_hash, created_ms, template) VALUES ('attic', 'attic-slug', 'one', '', 0, '')",
    );
    tell(1, "first");
    pass("one", "other", 5);
    tell(2, "second");
    expect([seen("other"), seen("one")]).toEqual([["second"], []]);
    pass("other", "third", 6);
    expect(seen("third")).toEqual([]);
    pass("third", "one", 7);
    tell(3, "third");
    expect(seen("one").toSorted()).toEqual(["first", "third"]);
  });
});
