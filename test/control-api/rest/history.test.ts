import { describe, expect, it } from "vitest";
import { codeOf, TestUser } from "../support/operator.ts";

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
