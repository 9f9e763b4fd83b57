// Root cause: a form named a machine, and it was done to whatever had that name when its person clicked. Between the page and the click the name
// may have passed to another computer.
import { beforeEach, describe, expect, test } from "vitest";
import type { PageApproval } from "../../../control-api/src/machines/machine-record.ts";
import { deployServer } from "../../control-api/support/deploy-server.ts";
import { env, ORIGIN, TestUser } from "../../control-api/support/operator.ts";
import { pageOf, somebody, type Somebody, textOf } from "../../control-api/pages/support/person.ts";
import {
  ask,
  Client,
  csrfIn,
  offeredIn,
  token as redeem,
  type Tokens,
} from "../../control-api/sign-in/support/visitor.ts";

const WORDS = "belongs to another machine now";

let alice: Somebody;
beforeEach(async () => {
  alice = await somebody();
  for (const name of ["attic", "cellar"]) await alice.user.machine(name);
  await alice.user.script("loft");
});

/** Another computer gets the name, as by `codez setup attic --replace`. */
async function takeOver(): Promise<void> {
  const taken = await alice.user.register("attic", { identity: "identity-of-another", replace: true });
  expect(taken.status).toBe(200);
}

/** What a change of the machine would change. */
async function chosenFor(name: string): Promise<unknown> {
  const record = await env.USER.getByName(alice.user.id).machine(name);
  return [record?.identity, record?.linkTokenHash, record?.pageApproval, record?.remoteApproval, record?.elicitation];
}

describe("a click on a page that showed the computer which had the name before", () => {
  test.each([
    ["/machines/attic/remove", "/machines/attic/remove", {}],
    ["/machines/attic/rotate", "/machines/attic/rotate", {}],
    ["/machines/attic", "/machines/attic/rename", { name: "loft" }],
    ["/machines/attic", "/machines/attic/approval", { approval: "once" }],
    ["/machines/attic", "/account/approvals/attic", { allow: "yes" }],
    ["/machines/attic", "/account/approvals/attic", { ask: "yes" }],
  ])("%s does nothing, and says to look again: %s", async (page, path, more) => {
    const form = await alice.browser.fields(page);
    await takeOver();
    const before = await chosenFor("attic");
    for (const one of [form, { ...form, machine: "" }, { ...form, machine: "attic" }]) {
      const refused = await alice.browser.post(path, { ...one, ...more });
      expect([refused.status, textOf(await refused.text())]).toEqual([409, expect.stringContaining(WORDS)]);
    }
    expect(await chosenFor("attic")).toEqual(before);
    const now = await alice.browser.fields(page);
    expect((await alice.browser.post(path, { ...now, ...more })).status).toBeLessThan(400);
  });

  test("deletes no server that was deployed under the name since", async () => {
    await deployServer(alice.user, "notes");
    const form = await alice.browser.fields("/machines/notes/remove");
    await alice.user.rest("DELETE", "/api/servers/notes");
    await deployServer(alice.user, "notes");
    const refused = await alice.browser.post("/machines/notes/remove", form);
    expect([refused.status, textOf(await refused.text())]).toEqual([409, expect.stringContaining(WORDS)]);
    expect((await alice.user.rest("GET", "/api/servers/notes")).status).toBe(200);
  });

  test("sends no prompt, and starts no session there", async () => {
    await alice.user.logs("attic", [{ session: "s1", type: "session.created", data: { title: "t", slug: "p" } }]);
    const form = await alice.browser.fields("/sessions/attic/s1");
    await takeOver();
    for (const [path, more] of [
      ["/sessions/attic/s1/prompt", { text: "the password is swordfish" }],
      ["/sessions/attic/s1/fork", {}],
      ["/sessions/attic/s1/abort", {}],
      ["/sessions/attic/s1/end", {}],
      ["/sessions/new", { place: "attic/p", text: "the password is swordfish" }],
    ] as const) {
      const refused = await alice.browser.post(path, { ...form, ...more });
      expect([path, refused.status, textOf(await refused.text())]).toEqual([path, 409, expect.stringContaining(WORDS)]);
    }
    const calls = (await alice.user.reached("attic"))
      .map(({ body }) => body)
      .filter((body) => body.includes("tools/call"));
    expect(calls.filter((body) => !body.includes('"get_session"'))).toEqual([]);
  });

  test("limits no token, and no receiver, to it, and to nothing else either", async () => {
    const account = await pageOf(alice, "/account");
    const [csrf, machine] = [csrfIn(account), offeredIn(account, "attic")];
    const token = { csrf, label: "narrow", may: "act" };
    const receiver = { csrf, kind: "ntfy", url: "https://ntfy.example/topic", all: "yes" };
    await takeOver();
    for (const one of [machine, "attic", `attic:${"0".repeat(32)}`]) {
      expect((await alice.browser.post("/account/tokens", { ...token, machine: one })).status).toBe(400);
      expect((await alice.browser.post("/notifications/receivers", { ...receiver, machine: one })).status).toBe(400);
    }
    const { tokens } = await alice.user.json<{ tokens: object[] }>("/api/tokens");
    const { subscriptions } = await alice.user.json<{ subscriptions: object[] }>("/api/webhooks");
    expect([tokens, subscriptions]).toEqual([[], []]);
    const now = offeredIn(await pageOf(alice, "/account"), "attic");
    expect((await alice.browser.post("/account/tokens", { ...token, machine: now })).status).toBe(200);
  });
});

describe("an app that is allowed on a page which showed the computer that had the name before", () => {
  /** What becomes of the consent to `machine` if another computer gets the name first. */
  async function allowed(client: Client, path: string, machine: string, csrf: string): Promise<Response> {
    await takeOver();
    const form = new FormData();
    for (const [name, value] of Object.entries({ csrf, decision: "allow", machine })) form.set(name, value);
    form.append("machine", offeredIn(await (await alice.browser.get(path)).text(), "cellar"));
    return alice.browser.post(path, form);
  }

  test("is not allowed, neither on it nor on the others that were chosen", async () => {
    const client = await Client.registered();
    const path = client.authorizePath();
    const page = await (await alice.browser.get(path)).text();
    const answer = await allowed(client, path, offeredIn(page, "attic"), csrfIn(page));
    expect([answer.status, textOf(await answer.text())]).toEqual([409, expect.stringContaining("Look at them again")]);
  });

  test("is not allowed at that machine's own address, and an app that was does not follow the name", async () => {
    const client = await Client.registered();
    const resource = `${ORIGIN}/m/${await alice.user.slug("attic")}/mcp`;
    const tokens = await client.signIn(alice.browser, { resource });
    const path = client.authorizePath({ resource });
    const form = await alice.browser.fields(path);
    await takeOver();
    const answer = await alice.browser.post(path, { ...form, decision: "allow" });
    expect([answer.status, textOf(await answer.text())]).toEqual([409, expect.stringContaining("Look at them again")]);
    const app = new TestUser(alice.user.id, tokens.access_token);
    const called = await app.fetch(new URL(resource).pathname, { method: "POST", body: "{}" });
    expect([called.status, await called.text()]).toEqual([404, expect.stringContaining("machine_unknown")]);
  });

  test("is not reached at an address that was allowed while there was no such machine", async () => {
    const resource = `${ORIGIN}/m/${await alice.user.slug("shed")}/mcp`;
    const tokens = await (await Client.registered()).signIn(alice.browser, { resource });
    await alice.user.machine("shed");
    const app = new TestUser(alice.user.id, tokens.access_token);
    const called = await app.fetch(new URL(resource).pathname, { method: "POST", body: "{}" });
    expect([called.status, await called.text()]).toEqual([404, expect.stringContaining("machine_unknown")]);
  });

  test("is not reached with a code that was approved for the computer which had its address before", async () => {
    const client = await Client.registered();
    const resource = `${ORIGIN}/m/${await alice.user.slug("attic")}/mcp`;
    const begun = await ask("/oauth/device_authorization", {
      method: "POST",
      body: new URLSearchParams({ client_id: client.id, resource }),
    });
    const code = await begun.json<{ device_code: string; user_code: string }>();
    const form = { csrf: await alice.browser.csrf("/pair"), code: code.user_code, decision: "allow" };
    expect(await (await alice.browser.post("/pair", form)).text()).toContain("Approved");
    const grant = "urn:ietf:params:oauth:grant-type:device_code";
    const redeemed = await redeem({ grant_type: grant, device_code: code.device_code, client_id: client.id });
    const app = new TestUser(alice.user.id, (await redeemed.json<Tokens>()).access_token);
    const call = () => app.fetch(new URL(resource).pathname, { method: "POST", body: "{}" });
    expect(await (await call()).text()).not.toContain("machine_unknown");
    await takeOver();
    const called = await call();
    expect([called.status, await called.text()]).toEqual([404, expect.stringContaining("machine_unknown")]);
  });

  test("can be limited to a hosted server, and to no later one of its name", async () => {
    await deployServer(alice.user, "notes");
    const tokens = await (await Client.registered()).signIn(alice.browser, {}, { machine: "notes" });
    const app = new TestUser(alice.user.id, tokens.access_token);
    const names = async () =>
      (await app.json<{ machines: { name: string }[] }>("/api/machines")).machines.map(({ name }) => name);
    expect(await names()).toEqual(["notes"]);
    await alice.user.rest("DELETE", "/api/servers/notes");
    await deployServer(alice.user, "notes");
    expect(await names()).toEqual([]);
  });
});

test("what pages may allow was chosen for a computer, which has it again when it gets its name back", async () => {
  const registry = env.USER.getByName(alice.user.id);
  const choose = (approval: PageApproval) => registry.setPageApproval("attic", approval, true, null);
  const chosen = async (name: string) => (await registry.machine(name))?.pageApproval;
  await choose("nothing");
  await takeOver();
  // Nobody gets rid of a limit by another identity.
  expect(await chosen("attic")).toBe("nothing");
  await choose("session");
  await alice.user.register("attic", { replace: true });
  expect(await chosen("attic")).toBe("nothing");
  await takeOver();
  expect(await chosen("attic")).toBe("session");
  // Also under another name.
  await alice.user.register("loft", { identity: "identity-of-attic" });
  expect(await chosen("loft")).toBe("nothing");
});
