// Root cause: notices about the account were events like any other, so every token that may read events read from which addresses its
// person signs in, what tokens and apps there are, and whether its own making was noticed.
import { beforeEach, expect, test } from "vitest";
import { SCOPES, type Scope } from "../../../control-api/src/http/scope.ts";
import { codeOf, env, failureOf, TestUser } from "../../control-api/support/operator.ts";

let alice: TestUser;
beforeEach(async () => {
  alice = new TestUser();
  await alice.machine("attic");
  await alice.logs("attic", [{ type: "session.idle", session: "s1" }]);
  await expect.poll(async () => (await env.USER.getByName(alice.id).notices(9)).length).toBeGreaterThan(0);
});

async function holderOf(limits: { scopes: Scope[]; machines?: string[] }): Promise<TestUser> {
  const made = await alice.rest("POST", "/api/tokens", { label: "a token", ...limits });
  return new TestUser(alice.id, (await made.json<{ token: string }>()).token);
}

/** The types of the events that a reader gets, or the code of the refusal. */
async function typesFor(reader: TestUser, type: string): Promise<unknown> {
  const answer = await reader.tool("poll_events", { type, timeout_ms: 0 });
  const polled = answer.structuredContent as { events?: { type: string }[] } | undefined;
  return failureOf(answer) ?? [...new Set(polled?.events?.map((event) => event.type))].toSorted();
}

const NARROW: { scopes: Scope[]; machines?: string[] }[] = [
  { scopes: ["operator:read"] },
  { scopes: ["operator:act"] },
  { scopes: ["mcp:tools"] },
  { scopes: ["mcp:tools"], machines: ["attic"] },
];

test.each(NARROW)("a token with $scopes cannot read notices through any access to the log", async (limits) => {
  const narrow = await holderOf(limits);
  for (const type of ["notice.*", "notice.token_created", "session.idle,notice.*"]) {
    expect(await typesFor(narrow, type)).toBe("forbidden");
    const stream = await narrow.fetch(`/api/events?type=${type}`);
    expect([stream.status, await codeOf(stream)]).toEqual([403, "forbidden"]);
  }
  // A pattern that fits notices among others gets the others.
  expect(await typesFor(narrow, "n*,notice*,s*")).toEqual(["session.idle"]);
  const { answer } = await narrow.rpc("events/subscribe", {
    name: "notice.token_created",
    delivery: { mode: "webhook", url: "https://example.com/", secret: `whsec_${btoa("x".repeat(32))}` },
  });
  expect(answer.error?.code).toBe(-32_023);
});

test("a notice does not end a waiting poll of such a token", async () => {
  const narrow = await holderOf({ scopes: ["mcp:tools"] });
  const { structuredContent } = await narrow.tool("poll_events", { type: "n*,s*", timeout_ms: 0 });
  const { cursor } = structuredContent as { cursor: string };
  const waiting = narrow.tool("poll_events", { type: "n*,s*", cursor, timeout_ms: 20_000 });
  await alice.rest("POST", "/api/tokens", { label: "noticed" });
  await alice.logs("attic", [
    { type: "session.idle", session: "s1" },
    { type: "session.idle", session: "s2" },
  ]);
  const { events } = (await waiting).structuredContent as { events: { type: string }[] };
  expect(events.map(({ type }) => type)).toEqual(["session.idle"]);
});

test("a token that administers the account reads notices only by naming their type", async () => {
  const admin = await holderOf({ scopes: ["operator:admin"] });
  expect(await typesFor(admin, "notice.*")).toContain("notice.machine_added");
  expect(await typesFor(admin, "n*")).toContain("notice.machine_added");
  const { structuredContent } = await admin.tool("poll_events", { timeout_ms: 0 });
  expect(JSON.stringify(structuredContent)).not.toContain("notice.");
});

test("these tests cover every scope", () => {
  expect(SCOPES).toEqual(["mcp:tools", "operator:read", "operator:act", "operator:admin", "operator:tokens"]);
});
