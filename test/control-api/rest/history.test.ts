import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import type { User } from "../../../control-api/src/user/user.ts";
import { codeOf, env, TestUser } from "../support/operator.ts";

const events = (session: string) => [
  { type: "session.created", session, data: { slug: "-x" } },
  { type: "message", session, data: { role: "user", parts: [{ type: "text", text: "a secret" }] } },
];

/** Two machines with two sessions each. */
async function two(): Promise<TestUser> {
  const alice = new TestUser();
  for (const name of ["attic", "cellar"]) {
    await alice.machine(name);
    await alice.logs(name, [...events("s1"), ...events("s2")]);
    await alice.script(name, { answers: { "POST /operator/forget": { status: 204, body: "" } } });
  }
  return alice;
}

/** Everything that a client can see of what happened, in JSON. */
async function seen(user: TestUser): Promise<string> {
  const polled = await user.tool("poll_events", { timeout_ms: 0 });
  const listed = await user.tool("list_sessions");
  return JSON.stringify([polled.structuredContent, listed.structuredContent]);
}

describe("deleting history", () => {
  it("of a session deletes its events here and in the machine's own log, and nothing else", async () => {
    const alice = await two();
    const deleted = await alice.rest("DELETE", "/api/history?machine=attic&session=s1");
    expect([deleted.status, await deleted.json()]).toEqual([200, { events: 2, sessions: 1, former: 0 }]);
    const rest = await seen(alice);
    expect(rest).not.toContain("attic/s1");
    for (const handle of ["attic/s2", "cellar/s1", "cellar/s2"]) expect(rest).toContain(handle);
    const asked = (await alice.reached("attic")).filter(({ path }) => path === "/operator/forget");
    expect(asked.map(({ body }): unknown => JSON.parse(body))).toEqual([{ session: "s1" }]);
    expect((await alice.reached("cellar")).map(({ path }) => path)).not.toContain("/operator/forget");
  });

  it("of a machine deletes all of it, even after the machine was removed, and keeps what comes later", async () => {
    const alice = await two();
    await alice.rest("DELETE", "/api/machines/attic");
    const deleted = await alice.rest("DELETE", "/api/history?machine=attic");
    expect(await deleted.json()).toEqual({ events: 4, sessions: 2, former: 0 });
    expect(await seen(alice)).not.toContain("attic");
    await alice.rest("DELETE", "/api/history?machine=cellar");
    await alice.logs("cellar", [...events("s1"), ...events("s2"), ...events("s3")]);
    const later = await seen(alice);
    expect(later).toContain("cellar/s3");
    expect(later).not.toContain("cellar/s1");
  });

  it("requires the name of its machine or session, and the right to administer", async () => {
    const alice = await two();
    for (const [query, status, code] of [
      ["", 400, "invalid_request"],
      ["?machine=attic&session=", 400, "invalid_request"],
      ["?machine=nobody", 404, "not_found"],
      ["?machine=attic&session=unknown", 404, "not_found"],
    ] as const) {
      const refused = await alice.rest("DELETE", `/api/history${query}`);
      expect([refused.status, await codeOf(refused)]).toEqual([status, code]);
    }
    const made = await alice.rest("POST", "/api/tokens", { label: "t", scopes: ["mcp:tools"] });
    const { token }: { token: string } = await made.json();
    expect((await new TestUser(alice.id, token).rest("DELETE", "/api/history?machine=attic")).status).toBe(403);
    expect((await new TestUser().rest("DELETE", "/api/history?machine=attic")).status).toBe(404);
    expect(await seen(alice)).toContain("attic/s1");
  });
});

describe("how long events are kept", () => {
  it("is a month unless its person says otherwise, and a change deletes what is beyond it at once", async () => {
    const alice = await two();
    const bob = await two();
    expect(await alice.json("/api/history/retention")).toEqual({ days: 30, events: 250_000 });
    const many = Array.from({ length: 1_100 }, () => events("s9"))
      .flat()
      .slice(0, 1_500);
    await alice.logs("attic", many);
    const changed = await alice.rest("PUT", "/api/history/retention", { days: 7, events: 1_000 });
    expect([changed.status, await changed.json()]).toEqual([200, { days: 7, events: 1_000 }]);
    const object = env.USER.getByName(alice.id) as unknown as DurableObjectStub<User>;
    const left = await runInDurableObject(object, (_, { storage }) =>
      storage.sql.exec<{ count: number }>("SELECT count(*) AS count FROM log_event").one(),
    );
    expect(left.count).toBe(1_000);
    expect(await alice.json("/api/history/retention")).toEqual({ days: 7, events: 1_000 });
    expect(await bob.json("/api/history/retention")).toEqual({ days: 30, events: 250_000 });
  });

  it.each([
    null,
    {},
    { days: 0, events: 1_000 },
    { days: 366, events: 1_000 },
    { days: 1.5, events: 1_000 },
    { days: 7, events: 999 },
    { days: 7, events: 250_001 },
    { days: "7", events: 1_000 },
  ])("is refused as %j, with the rule", async (body) => {
    const refused = await new TestUser().rest("PUT", "/api/history/retention", body);
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining("days from 1 to 365")]);
  });

  it("is enforced by a schedule, of which there is one, however often it is changed and the log grows", async () => {
    const alice = await two();
    for (const days of [9, 8, 7]) await alice.rest("PUT", "/api/history/retention", { days, events: 1_000 });
    const object = env.USER.getByName(alice.id) as unknown as DurableObjectStub<User>;
    const due = await runInDurableObject(
      object,
      (user) =>
      user.getSchedules().filter(({ callback }) => callback === "trimHistory").map(({ time }) => time), // prettier-ignore
    );
    // That of an earlier choice fires once, finds that another one comes, and leaves it at that.
    const inDays = due.map((time) => Math.round((time * 1000 - Date.now()) / (24 * 60 * 60_000)));
    expect(inDays.toSorted((one, other) => one - other)).toEqual([7, 8, 9, 30]);
    await runInDurableObject(object, async (user) => {
      await user.trimHistory();
      await user.trimHistory();
      expect(user.getSchedules().filter(({ callback }) => callback === "trimHistory")).toHaveLength(4);
    });
  });
});
