import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Admission } from "../../../control-api/src/sign-in/admission.ts";
import type { NoticeRecord } from "../../../control-api/src/audit/notice.ts";
import { env, ORIGIN, TestUser } from "../support/operator.ts";
import { ask, Client, directory, PASSWORD, Visitor } from "./support/visitor.ts";

/** A person's notices as "type: what, by", the oldest first, once there are `count` of them: they are written after the answer. */
async function noticesOf(user: string, count: number): Promise<string[]> {
  const newest = async (): Promise<NoticeRecord[]> => env.USER.getByName(user).notices(100);
  await expect.poll(async () => (await newest()).length).toBeGreaterThanOrEqual(count);
  return (await newest()).toReversed().map(({ type, what, by }) => `${type.replace("notice.", "")}: ${what}, ${by}`);
}

async function idOf(name: string): Promise<string> {
  return (await directory().people()).find((person) => person.name === name)?.id ?? "";
}

describe("a person is notified", () => {
  test("of new tokens and machines, and of another computer under an old name", async () => {
    const user = new TestUser();
    const other = new TestUser();
    await user.register("attic");
    await user.register("attic");
    await user.register("attic", { identity: "identity-of-another-one", replace: true });
    const { token }: { token: string } = await (await user.rest("POST", "/api/tokens", { label: "ci" })).json();
    const notices = await noticesOf(user.id, 3);
    expect(notices.toSorted()).toEqual([
      "machine_added: attic, loopback",
      "machine_replaced: attic, loopback",
      "token_created: ci, loopback",
    ]);
    expect(JSON.stringify(notices)).not.toContain(token.slice(-20));
    expect(await env.USER.getByName(other.id).notices(100)).toEqual([]);
  });

  test("of apps and computers that were allowed, but not of denied ones", async () => {
    const person = await Visitor.invited();
    const app = await Client.registered({ client_name: "An app" });
    await app.signIn(person);
    const body = new URLSearchParams({ client_id: app.id });
    const headers = { "cf-connecting-ip": "203.0.113.50" };
    for (const decision of ["deny", "allow"]) {
      const begun = await ask("/oauth/device_authorization", { method: "POST", body, headers });
      const { user_code: code }: { user_code: string } = await begun.json();
      await person.post("/pair", { csrf: await person.csrf("/pair"), code, decision });
    }
    expect((await noticesOf(await idOf(person.name), 2)).toSorted()).toEqual([
      "app_allowed: An app, consent page",
      "computer_approved: An app, 203.0.113.50",
    ]);
    const page = await (await person.get("/account")).text();
    expect(page).toContain("What happened lately");
    expect(page).toContain("was paired, at the request of 203.0.113.50");
  });

  test("of a sign-in from a new address, once", async () => {
    const person = await Visitor.invited();
    const signIn = (address: string) =>
      new Visitor().post("/sign-in", { name: person.name, password: PASSWORD }, { "cf-connecting-ip": address });
    for (const address of ["203.0.113.51", "203.0.113.51", "203.0.113.52", "203.0.113.51"]) await signIn(address);
    const wrong = { name: person.name, password: "wrong wrong wrong" };
    await new Visitor().post("/sign-in", wrong, { "cf-connecting-ip": "203.0.113.53" });
    const notices = await noticesOf(await idOf(person.name), 2);
    expect(notices.map((notice) => notice.split(",")[0]).toSorted()).toEqual([
      "sign_in_from_new_address: 203.0.113.51",
      "sign_in_from_new_address: 203.0.113.52",
    ]);
  });

  test("of a used invitation, if they are the owner, and when clients are allowed to answer permission requests", async () => {
    const person = await Visitor.invited();
    const id = await idOf(person.name);
    const invited = `invitation_used: ${person.name}, sign-in page`;
    await expect.poll(() => noticesOf("owner", 1)).toContain(invited);
    await new TestUser(id).machine("attic");
    const form = { ...(await person.fields("/machines/attic")), allow: "yes" };
    await person.post("/account/approvals/attic", form);
    await person.post("/account/approvals/nosuch", form);
    expect((await noticesOf(id, 2)).filter((notice) => notice.startsWith("approval"))).toEqual([
      "approval_allowed: attic, account page",
    ]);
  });
});

describe("notices", () => {
  type Polled = { events: { machine: string; type: string; data: { what: string; text: string } }[]; cursor: string };

  async function poll(user: TestUser, more: object): Promise<Polled> {
    const { structuredContent } = await user.tool("poll_events", { timeout_ms: 0, ...more });
    return structuredContent as unknown as Polled;
  }

  test("are events for a reader who asks for their type, and for no other reader or person", async () => {
    const user = new TestUser();
    await user.machine("attic");
    await noticesOf(user.id, 1);
    const { events, cursor } = await poll(user, { type: "notice.*" });
    expect(events.map(({ machine, type, data }) => [machine, type, data.what])).toEqual([
      ["operator", "notice.machine_added", "attic"],
    ]);
    expect(events[0]?.data.text).toBe('The machine attic was added by "loopback".');
    expect((await poll(user, {})).events).toEqual([]);
    expect((await poll(new TestUser(), { type: "notice.*" })).events).toEqual([]);
    const waiting = user.tool("poll_events", { type: "notice.token_created", cursor, timeout_ms: 20_000 });
    await user.rest("POST", "/api/tokens", { label: "ci" });
    const { events: next } = (await waiting).structuredContent as unknown as Polled;
    expect(next.map(({ type, data }) => [type, data.what])).toEqual([["notice.token_created", "ci"]]);
  });

  test("cannot be written by a machine", async () => {
    const user = new TestUser();
    await user.machine("attic");
    await noticesOf(user.id, 1);
    await user.logs("attic", [{ type: "notice.token_created", data: { what: "spoofed" } }]);
    const { events } = await poll(user, { type: "notice.*" });
    expect(events.map(({ type }) => type)).toEqual(["notice.machine_added"]);
    const all = await poll(user, { type: "machine.*,notice.*" });
    expect(all.events.map(({ machine, type }) => `${machine} ${type}`).toSorted()).toEqual([
      "attic machine.notice.token_created",
      "operator notice.machine_added",
    ]);
  });
});

describe("a limit that is reached repeatedly", () => {
  beforeEach(() => void vi.spyOn(Date, "now").mockReturnValue(Date.UTC(2026, 10, 21, 12)));
  afterEach(() => vi.restoreAllMocks());

  async function tokenOf(user: TestUser, more: object): Promise<string> {
    const made = await user.rest("POST", "/api/tokens", { label: "loop", scopes: ["mcp:tools"], ...more });
    return (await made.json<{ token: string }>()).token;
  }

  async function request(token: string, count: number): Promise<void> {
    const url = new URL(`${ORIGIN}/mcp`);
    const headers = { authorization: `Bearer ${token}`, "cf-connecting-ip": "203.0.113.54" };
    const admission = new Admission({ perSecond: 50, burst: 40 }, { perSecond: 2, burst: 120 });
    for (let done = 0; done < count; done += 1) await admission.admit(new Request(url, { headers }), env, url);
  }

  test("causes one notice for a budget", async () => {
    const user = new TestUser();
    const token = await tokenOf(user, { callsPerDay: 2 });
    await request(token, 30);
    expect(await noticesOf(user.id, 2)).toEqual([
      "token_created: loop, loopback",
      "limit_reached: its 2 calls of this day, loop",
    ]);
  });

  test("causes one notice for a rate", async () => {
    const user = new TestUser();
    const token = await tokenOf(user, {});
    await request(token, 300);
    expect(await noticesOf(user.id, 2)).toEqual([
      "token_created: loop, loopback",
      "limit_reached: more than 50 requests a second, loop",
    ]);
  });
});
