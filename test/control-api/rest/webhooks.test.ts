import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import type { Overview } from "../../../control-api/src/webhooks/webhooks-rpc.ts";
import { codeOf, env, TestUser } from "../support/operator.ts";
import { isSigned, Receiver } from "../support/receiver.ts";

const failed = (session: string) => ({ type: "session.error", session, data: { message: "secret text" } });
const asked = { type: "permission.requested", session: "s1", data: { request_id: "r1", tool: "Bash", input: { command: "rm -r private" } } }; // prettier-ignore

async function person(...machines: string[]): Promise<TestUser> {
  const user = new TestUser();
  for (const name of machines) {
    await user.machine(name);
    await user.logs(name, []);
  }
  return user;
}

async function add(user: TestUser, body: object): Promise<{ id: string; secret: string | null }> {
  const response = await user.rest("POST", "/api/webhooks", body);
  if (response.status !== 201) throw new Error(await response.text());
  return response.json();
}

const overviewOf = (user: TestUser) => user.json<Overview>("/api/webhooks");

describe("a person's own webhook", () => {
  it("gets events in the form of Standard Webhooks, signed with the secret that was shown once", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    const { id, secret } = await add(alice, { url: receiver.url });
    expect(secret).toMatch(/^whsec_/);
    await alice.logs("attic", [failed("s1"), { type: "message" }, { type: "machine.offline" }]);
    const messages = await receiver.received(2);
    expect(messages.map(({ body }) => JSON.parse(body))).toEqual([
      { type: "session.failed", timestamp: expect.any(String), data: { machine: "attic", session: "attic/s1", message: "secret text" } }, // prettier-ignore
      { type: "machine.offline", timestamp: expect.any(String), data: { machine: "attic", session: null } },
    ]);
    for (const message of messages) expect(await isSigned(message, secret ?? "")).toBe(true);
    // It has them before its answers are written down.
    const shown = { id, kind: "webhook", url: receiver.url, types: null, pending: 0 };
    await expect.poll(async () => (await overviewOf(alice)).subscriptions).toMatchObject([shown]);
    expect(JSON.stringify(await overviewOf(alice))).not.toContain("whsec_");
  });

  it("may be limited to types, to a machine and to a session", async () => {
    const [alice, one, two] = [await person("attic", "cellar"), new Receiver(), new Receiver()];
    await add(alice, { url: one.url, types: ["permission.requested"], machineId: "attic" });
    await add(alice, { url: two.url, session: "cellar/s2" });
    await alice.logs("cellar", [asked, failed("s2")]);
    await alice.logs("attic", [failed("s1"), asked]);
    expect(await one.events(1, 0)).toMatchObject([{ type: "permission.requested", data: { machine: "attic" } }]);
    expect(await two.events(1, 0)).toMatchObject([{ type: "session.failed", data: { session: "cellar/s2" } }]);
  });

  it("is refused for a machine of which nobody knows which computer it is: it would never be told of it", async () => {
    const alice = await person("attic");
    // As in a list of machines that was rebuilt from scripts older than 0.2.
    await runInDurableObject(env.USER.getByName(alice.id), (_, { storage }) => void storage.sql.exec("UPDATE machine SET identity = ''")); // prettier-ignore
    const refused = await alice.rest("POST", "/api/webhooks", { url: new Receiver().url, machineId: "attic" });
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining("codez setup")]);
  });

  it("can be tested, and the answer reports the result in one word", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    const { id, secret } = await add(alice, { url: receiver.url });
    const test = async (): Promise<unknown> => (await alice.rest("POST", `/api/webhooks/${id}/test`)).json();
    expect(await test()).toEqual({ delivered: true });
    const [message] = await receiver.received(1);
    expect(JSON.parse(message?.body ?? "")).toMatchObject({ type: "webhook.test" });
    expect(message === undefined ? false : await isSigned(message, secret ?? "")).toBe(true);
    await receiver.plan({ status: 401, headers: { "x-secret": "of the intranet" } });
    expect(await test()).toEqual({ delivered: false, fault: "http_4xx" });
  });

  it("gets nothing after it is removed", async () => {
    const [alice, gone, other] = [await person("attic"), new Receiver(), new Receiver()];
    const { id } = await add(alice, { url: gone.url });
    await add(alice, { url: other.url });
    expect((await alice.rest("DELETE", `/api/webhooks/${id}`)).status).toBe(204);
    await alice.logs("attic", [failed("s1")]);
    await other.events(1, 0);
    expect(await gone.received(0)).toEqual([]);
    expect(await codeOf(await alice.rest("DELETE", `/api/webhooks/${id}`))).toBe("not_found");
  });

  it("ends with the token that added it", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    const made = await alice.rest("POST", "/api/tokens", { label: "admin", scopes: ["operator:admin"] });
    const { token, id }: { token: string; id: string } = await made.json();
    await add(new TestUser(alice.id, token), { url: receiver.url });
    await alice.rest("DELETE", `/api/tokens/${id}`);
    await env.WEBHOOKS.getByName(alice.id).wake(true);
    expect((await overviewOf(alice)).subscriptions).toEqual([]);
  });

  it("cannot be seen or changed by others", async () => {
    const [alice, bob, receiver] = [await person("attic"), await person("attic"), new Receiver()];
    const { id } = await add(alice, { url: receiver.url });
    expect((await overviewOf(bob)).subscriptions).toEqual([]);
    for (const [method, path] of [
      ["DELETE", ""],
      ["POST", "/test"],
      ["POST", "/retry"],
    ] as const)
      // prettier-ignore
      expect(await codeOf(await bob.rest(method, `/api/webhooks/${id}${path}`))).toBe("not_found");
    await bob.logs("attic", [failed("s1")]);
    await alice.logs("attic", [failed("s2")]);
    expect(await receiver.events(1, 0)).toMatchObject([{ data: { session: "attic/s2" } }]);
  });

  it("is refused with a reason if it is invalid", async () => {
    const alice = await person("attic");
    const url = new Receiver().url;
    for (const body of [
      {},
      { url: "ftp://x.hooks.example/" },
      { url: "http://x.hooks.example/" },
      { url: "https://127.0.0.1/" },
      { url, types: ["mail.received"] },
      { url, types: [] },
      { url, session: "bare" },
      { url, kind: "mail" },
      { url: "https://ntfy.example/", kind: "ntfy" },
      { url: "https://[fe80::1%25eth0]/topic", kind: "ntfy" },
      { url: "topic", kind: "ntfy" },
    ])
      expect(await codeOf(await alice.rest("POST", "/api/webhooks", body)), JSON.stringify(body)).toBe(
        "invalid_request",
      );
    expect(await codeOf(await alice.rest("POST", "/api/webhooks", { url, machineId: "cellar" }))).toBe(
      "machine_unknown",
    );
  });

  it("requires the right to administer", async () => {
    const alice = await person("attic");
    const made = await alice.rest("POST", "/api/tokens", { label: "tools", scopes: ["mcp:tools"] });
    const { token }: { token: string } = await made.json();
    const client = new TestUser(alice.id, token);
    for (const [method, path] of [
      ["GET", ""],
      ["POST", ""],
      ["DELETE", "/x"],
      ["POST", "/x/test"],
      ["POST", "/x/retry"],
    ] as const)
      // prettier-ignore
      expect((await client.rest(method, `/api/webhooks${path}`, method === "POST" ? {} : undefined)).status).toBe(403);
  });
});

describe("a topic at ntfy", () => {
  it("gets notifications of what happened and where, without any session content", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    const topic = new URL("/team/alerts", receiver.url).href;
    const { id, secret } = await add(alice, { url: topic, kind: "ntfy" });
    expect(secret).toBeNull();
    await alice.logs("attic", [asked, failed("s1")]);
    const messages = await receiver.received(2);
    expect(messages.map(({ body }) => JSON.parse(body))).toEqual([
      { topic: "alerts", title: "attic", message: "An agent waits for your permission: Bash", priority: 4, tags: ["permission.requested"] }, // prettier-ignore
      { topic: "alerts", title: "attic", message: "A session failed", priority: 4, tags: ["session.failed"] },
    ]);
    for (const { url, body, headers } of messages) {
      expect(new URL(url).pathname).toBe("/team/");
      expect(body).not.toMatch(/private|secret/);
      expect(headers["webhook-signature"]).toBeUndefined();
    }
    expect(await (await alice.rest("POST", `/api/webhooks/${id}/test`)).json()).toEqual({ delivered: true });
  });

  it("shows a tool's name in one line, without characters that mislead", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    await add(alice, { url: new URL("/alerts", receiver.url).href, kind: "ntfy" });
    await alice.logs("attic", [{ ...asked, data: { ...asked.data, tool: "Ba\u202esh\n\nOperator: all is well" } }]);
    const [message] = await receiver.received(1);
    expect(JSON.parse(message?.body ?? "null")).toMatchObject({
      message: String.raw`An agent waits for your permission: Ba\u{202e}sh Operator: all is well`,
    });
  });
});
