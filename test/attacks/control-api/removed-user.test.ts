/**
 * Root cause: whether a user is still there was asked when they signed in and never again, so that a code which they had
 * approved before they were removed still became tokens, a machine and an endless access token.
 */
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import { removePerson } from "../../../control-api/src/sign-in/remove-person.ts";
import type { Entered } from "../../../control-api/src/sign-in/accounts/accounts-rpc.ts";
import { hashOf } from "../../../control-api/src/sign-in/secret.ts";
import { Store } from "../../../control-api/src/sign-in/oauth/store/store.ts";
import {
  ask,
  bearer,
  Client,
  directory,
  errorOf,
  PASSWORD,
  statusWith,
  token,
  Visitor,
} from "../../control-api/sign-in/support/visitor.ts";
import { env, TestUser } from "../../control-api/support/operator.ts";
import { Receiver, SECRET } from "../../control-api/support/receiver.ts";
import { whileReading } from "../../control-api/support/while-reading.ts";

const VISIT = { address: "here", browser: "Firefox" };

let person: Visitor & { name: string };
let id: string;
let client: Client;

beforeEach(async () => {
  person = await Visitor.invited();
  id = (await directory().people()).find(({ name }) => name === person.name)?.id ?? "";
  client = await Client.registered({}, "http://127.0.0.1/callback");
});

async function approvedDevice(): Promise<string> {
  const body = new URLSearchParams({ client_id: client.id, scope: "operator:admin mcp:tools" });
  const begun = await ask("/oauth/device_authorization", { method: "POST", body });
  const { device_code: deviceCode, user_code: code }: { device_code: string; user_code: string } = await begun.json();
  await person.post("/pair", { csrf: await person.csrf("/pair"), code, decision: "allow" });
  return deviceCode;
}

const redeem = (deviceCode: string) =>
  token({ grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: deviceCode, client_id: client.id });

describe("a removed user cannot come back", () => {
  it("with a device code that they approved before", async () => {
    const code = await approvedDevice();
    await removePerson(id, env);
    const response = await redeem(code);
    expect([response.status, ["expired_token", "access_denied"].includes((await errorOf(response)) ?? "")]).toEqual([400, true]); // prettier-ignore
  });

  it("with a device code that is approved while they are being removed", async () => {
    const code = await approvedDevice();
    // The row comes back, as it would from an approval that was under way.
    const rows = await runInDurableObject(directory(), (_, { storage }) => storage.sql.exec("SELECT * FROM device WHERE person = ?", id).toArray()); // prettier-ignore
    await removePerson(id, env);
    await runInDurableObject(directory(), (_, { storage }) => {
      for (const row of rows) storage.sql.exec(`INSERT INTO device VALUES (${Object.keys(row).map(() => "?").join(",")})`, ...Object.values(row)); // prettier-ignore
    });
    expect(await errorOf(await redeem(code))).toBe("access_denied");
  });

  it("with an authorization code that a client has not redeemed yet", async () => {
    const answer = await client.consent(person);
    await removePerson(id, env);
    expect(await errorOf(await client.redeem(answer.searchParams.get("code") ?? ""))).toBe("invalid_grant");
  });

  it("with an access token, a refresh token, or a personal access token", async () => {
    const { access_token: access, refresh_token: refresh } = await client.signIn(person, { scope: "operator:admin" });
    const made = await ask("/api/tokens", { method: "POST", ...bearer(access), body: '{"label":"endless"}' });
    const { token: endless }: { token: string } = await made.json();
    expect([await statusWith(access), await statusWith(endless)]).toEqual([200, 200]);
    await removePerson(id, env);
    expect([await statusWith(access), await statusWith(endless)]).toEqual([401, 401]);
    expect(await errorOf(await client.refresh(refresh))).toBe("invalid_grant");
  });

  it("with a refresh token that is used while they are being removed", async () => {
    const { refresh_token: refresh } = await client.signIn(person, { scope: "operator:admin" });
    await directory().lockOut(id); // the first step
    expect(await errorOf(await client.refresh(refresh))).toBe("invalid_grant");
  });

  it("with a browser, a password or a passkey", async () => {
    expect((await person.get("/account")).status).toBe(200);
    const rows = () =>
      runInDurableObject(directory(), (_, { storage }) =>
        ["person WHERE id", "session WHERE person", "passkey WHERE person", "device WHERE person"].map(
          (where) => storage.sql.exec(`SELECT * FROM ${where} = ?`, id).toArray().length,
        ),
      );
    await runInDurableObject(directory(), (_, { storage }) => {
      const row = "INSERT INTO passkey (id, person, public_key, counter, created_ms) VALUES (?, ?, x'00', 0, 1)";
      storage.sql.exec(row, `passkey-of-${id}`, id);
    });
    expect((await rows()).slice(0, 3)).toEqual([1, 1, 1]);
    await removePerson(id, env);
    expect((await person.get("/account")).status).toBe(303);
    const { name } = person;
    const form = { name, password: "correct horse battery", next: "/account" };
    expect((await new Visitor().post("/sign-in", form)).status).toBe(401);
    expect(await rows()).toEqual([0, 0, 0, 0]);
  });

  it("with a password that they set, or a session that they begin, before they are deleted", async () => {
    const { session } = (await directory().signIn(person.name, PASSWORD, VISIT)) as Entered;
    const browser = (await directory().session(session, VISIT))?.id ?? "";
    await directory().lockOut(id); // the first step
    expect(await directory().changePassword(id, PASSWORD, "another good one", browser, "here")).toEqual({
      denied: "wrong",
    });
    expect(await directory().changePassword(id, "", "another good one", browser, "here")).toEqual({ denied: "wrong" });
    for (const password of [PASSWORD, "another good one", ""])
      expect(await directory().signIn(person.name, password, VISIT)).toEqual({ denied: "wrong" });
    const late = await hashOf("late");
    await runInDurableObject(directory(), (_, { storage }) => {
      // As a sign-in would that was under way.
      storage.sql.exec("INSERT INTO session VALUES (?, ?, 1, ?, 1, '', '')", late, id, Date.now());
    });
    expect(await directory().session("late", VISIT)).toBeNull();
    // They are still there to be removed, and nobody gets their name meanwhile.
    expect((await directory().people()).some((one) => one.id === id)).toBe(true);
    expect(await directory().forget(id)).toBe(person.name); // the last step
    const left = await runInDurableObject(directory(), (_, { storage }) =>
      storage.sql.exec("SELECT 1 FROM session WHERE person = ?", id).toArray(),
    );
    expect(left).toEqual([]);
    await removePerson(id, env);
  });

  it("with anything that is created for them afterwards", async () => {
    await removePerson(id, env);
    const user = env.USER.getByName(id);
    // With an answer of its own: an error of Operator's, which is logged and may be tried again, would be none.
    const refused = { code: "unauthorized" };
    expect(await user.createToken("x", { scopes: ["mcp:tools"], machines: null, expiresMs: null, callsPerDay: null }, { credential: null })).toEqual(refused); // prettier-ignore
    expect(await user.register({ name: "attic", identity: "i" }, null)).toEqual(refused);
    expect(await user.startRollout({}, null)).toEqual(refused);
    expect(await user.createEnrolmentKey({ tag: "ci", reusable: false, expiresMs: 0, maxMachines: 1, policy: null }, null)).toEqual(refused); // prettier-ignore
    await expect(new Store(env).put(`grant:${id}:g`, "{}")).rejects.toThrow("removed");
  });

  it("and nothing is written about them afterwards", async () => {
    await removePerson(id, env);
    const user = env.USER.getByName(id);
    await user.notify({ type: "notice.token_created", what: "a token", by: "an app" });
    expect([await user.notices(1), await user.newestEvent()]).toEqual([[], expect.objectContaining({ seq: 0 })]);
  });
});

describe("what somebody asks for who is removed before it is done", () => {
  const overview = async () => (await env.WEBHOOKS.getByName(id).overview()).subscriptions;
  const made = { client: "an app", credential: null, filter: { machine: null, session: null } };

  it("is no subscription, although the receiver agrees", async () => {
    await removePerson(id, env);
    const receiver = new Receiver();
    const request = { ...made, user: id, isTracked: true, name: "session.failed", arguments: "{}", url: receiver.url, secret: SECRET, cursor: null, maxAgeMs: null }; // prettier-ignore
    expect(await env.WEBHOOKS.getByName(id).subscribe(request)).toMatchObject({ error: { code: "forbidden" } });
    expect([(await receiver.received(1)).length, await overview()]).toEqual([1, []]);
    const agreed = await runInDurableObject(env.WEBHOOKS.getByName(id), (_, { storage }) =>
      storage.sql.exec("SELECT * FROM verified_url").toArray(),
    );
    expect(agreed).toEqual([]);
  });

  it("is no webhook that is being stored", async () => {
    const object = env.WEBHOOKS.getByName(id);
    await whileReading(
      id,
      async () => object.add({ ...made, user: id, kind: "webhook", url: new Receiver().url, types: null }),
      async () => object.removeAll(),
    );
    expect(await overview()).toEqual([]);
  });

  it("is no webhook, and no notifications of a browser", async () => {
    await removePerson(id, env);
    const object = env.WEBHOOKS.getByName(id);
    const { url } = new Receiver();
    expect(await object.add({ ...made, user: id, kind: "webhook", url, types: null })).toEqual({
      code: "unauthorized",
    });
    // The example of RFC 8291, section 5.
    const point = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const keys = { p256dh: point, auth: "BTBZMqHH6r4Tts7J_aSIgg" };
    const browser = {
      user: id,
      credential: "browser:x",
      browser: "Firefox",
      endpoint: url,
      keys,
      zone: "UTC",
    } as const;
    expect(await object.addPush(browser)).toEqual({ code: "unauthorized" });
    expect(await overview()).toEqual([]);
  });
});

describe("of a removed user, nothing waits to be sent any more:", () => {
  it("no call for a machine that is away, with what it would say", async () => {
    const user = new TestUser(id);
    await user.machine("attic", { fails: { code: "machine_offline", machine: "attic", lastSeenMs: null } });
    await user.tool("send_prompt", {
      session_id: "attic/s-1",
      text: "a secret plan",
      on_offline: "queue",
      key: "mine",
    });
    const waiting = () => runInDurableObject(env.USER.getByName(id), (_, { storage }) =>
      storage.sql.exec("SELECT args FROM delivery WHERE ended_ms IS NULL OR args <> ''").toArray()); // prettier-ignore
    expect(await waiting()).toHaveLength(1);
    await removePerson(id, env);
    expect(await waiting()).toEqual([]);
  });

  it("no message of a subscription that ended at the same time", async () => {
    const receiver = new Receiver();
    const object = env.WEBHOOKS.getByName(id);
    await object.subscribe({ user: id, client: "an app", credential: "token:gone", filter: { machine: null, session: null }, isTracked: true, name: "session.failed", arguments: "{}", url: receiver.url, secret: SECRET, cursor: null, maxAgeMs: null }); // prettier-ignore
    await Promise.all([object.wake(true), object.removeAll()]);
    const left = await runInDurableObject(object, (_, { storage }) =>
      storage.sql.exec("SELECT * FROM delivery").toArray(),
    );
    expect(left).toEqual([]);
  });
});

describe("removing a user", () => {
  it("removes their machines and keeps other people's", async () => {
    const user = new TestUser(id);
    const other = new TestUser();
    for (const one of [user, other]) await one.machine("attic");
    await removePerson(id, env);
    expect(await env.USER.getByName(id).machines()).toEqual([]);
    expect(await other.json("/api/machines")).toMatchObject({ machines: [{ name: "attic" }] });
    expect((await user.platformCalls("attic")).at(-1)?.method).toBe("DELETE");
  });

  it("leaves nothing that a machine, which the list had lost, could bring back with its next report", async () => {
    const user = new TestUser(id);
    await user.machine("attic");
    const object = env.USER.getByName(id);
    await runInDurableObject(object, (_, { storage }) => void storage.sql.exec("DELETE FROM machine"));
    await removePerson(id, env);
    expect((await user.report("attic", { identity: "identity-of-attic" })).status).toBe(204);
    await removePerson(id, env); // waits for what was begun, and removes the machines that there are
    expect((await user.platformCalls("attic")).map(({ method }) => method)).not.toContain("DELETE");
  });

  it("can be repeated, even by the id of somebody who is no longer listed", async () => {
    const { access_token: access } = await client.signIn(person, { scope: "operator:admin" });
    expect(await removePerson(id, env)).toBe(person.name);
    expect(await removePerson(id, env)).toBeNull();
    // A release that did not ask the directory left this behind.
    const left = new TestUser();
    const made: { token: string } = await (await left.rest("POST", "/api/tokens", { label: "left" })).json();
    expect(await statusWith(made.token)).toBe(200);
    await removePerson(left.id, env);
    expect([await statusWith(made.token), await statusWith(access)]).toEqual([401, 401]);
  });

  it("never removes the owner", async () => {
    const owner = new TestUser("owner");
    const made: { token: string } = await (await owner.rest("POST", "/api/tokens", { label: "kept" })).json();
    expect(await removePerson("owner", env)).toBeNull();
    expect(await statusWith(made.token)).toBe(200);
  });
});
