import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { pageOf, type Somebody, somebody, textOf } from "../pages/support/person.ts";
import { MAX_PASSKEYS } from "../../../control-api/src/sign-in/accounts/passkeys.ts";
import { MAX_SESSIONS } from "../../../control-api/src/sign-in/accounts/sessions.ts";
import { env } from "../support/operator.ts";
import { newPasskey } from "./support/passkey.ts";
import { ask, bearer, Client, csrfIn, directory, offeredIn, PASSWORD, Visitor } from "./support/visitor.ts";

const accountOf = async (one: Somebody): Promise<string> => textOf(await pageOf(one, "/account"));

test("apps of the same name are told apart by where they live, and say when they were last used", async () => {
  const one = await somebody();
  const here = await Client.registered({ client_name: "Editor" }, "http://127.0.0.1:7777/callback");
  const there = await Client.registered({ client_name: "Editor" }, "https://editor.example/callback");
  for (const client of [here, there]) await client.signIn(one.browser, { scope: "mcp:tools" });
  const page = await accountOf(one);
  expect(page).toContain("Editor, a program on a computer");
  expect(page).toContain("Editor, editor.example");
  expect(page).toMatch(/since \d{4}-\d\d-\d\d \d\d:\d\d UTC, last used just now/);
});

test("a token says what it may do, and when it was last used", async () => {
  const one = await somebody();
  const csrf = await one.browser.csrf("/account");
  const made = await one.browser.post("/account/tokens", { csrf, label: "a script", may: "read", machine: "" });
  const [, token = ""] = /<pre tabindex="0">([^<]+)<\/pre>/.exec(await made.text()) ?? [];
  expect(await accountOf(one)).toMatch(/a script access token, may see your machines, since \S+, never used/);
  expect((await ask("/api/me", bearer(token))).status).toBe(200);
  expect(await accountOf(one)).toMatch(/a script access token, may see your machines, since \S+, last used just now/);
});

test("a token's limits are said where it can be revoked", async () => {
  const one = await somebody();
  await one.user.machine("attic");
  const page = await pageOf(one, "/account");
  const form = { csrf: csrfIn(page), label: "a robot", may: "act", machine: offeredIn(page, "attic"), days: "9" };
  await one.browser.post("/account/tokens", form);
  expect(await accountOf(one)).toMatch(/a robot access token, may use your machines on attic, since \S+, until \d/);
  const unlimited = await one.browser.post("/account/tokens", { ...form, may: "manage" });
  expect([unlimited.status, textOf(await unlimited.text())]).toEqual([
    400,
    expect.stringContaining("cannot be limited"),
  ]);
});

test("a passkey has a name, and only its person can change it, or remove one that is not their only credential", async () => {
  const [one, other] = [await somebody(), await somebody()];
  await runInDurableObject(directory(), (_, { storage }) => {
    storage.sql.exec(
      "INSERT INTO passkey (id, person, public_key, counter, created_ms, name) VALUES (?, ?, ?, 0, ?, ?)",
      "key-1",
      one.user.id,
      new Uint8Array([1]),
      Date.now(),
      "Firefox on Linux",
    );
  });
  expect(await accountOf(one)).toMatch(/Firefox on Linux\s+passkey since \S+, never used/);
  const rename = async (by: Somebody, name: string): Promise<number> =>
    (await by.browser.post("/account/passkeys/key-1/name", { csrf: await by.browser.csrf("/account"), name })).status;
  expect(await rename(other, "Mine now")).toBe(303);
  for (const name of ["", " ", "x".repeat(65), "a\u202eb"]) expect(await rename(one, name)).toBe(400);
  expect(await accountOf(one)).toContain("Firefox on Linux passkey");
  expect(await rename(one, " The blue key <1> ")).toBe(303);
  const page = await pageOf(one, "/account");
  expect(page).toContain("The blue key &lt;1&gt;");
  expect(textOf(page)).not.toContain("Mine now");
  const remove = async (by: Somebody): Promise<number> =>
    (await by.browser.post("/account/passkeys/key-1", { csrf: await by.browser.csrf("/account") })).status;
  const setPassword = (password: string | null): Promise<void> =>
    runInDurableObject(directory(), (_, { storage }) => {
      storage.sql.exec("UPDATE person SET password = ? WHERE id = ?", password, one.user.id);
    });
  expect(await remove(other)).toBe(409);
  await setPassword(null);
  expect(await remove(one)).toBe(409);
  expect(await accountOf(one)).toContain("The blue key");
  await setPassword("a hash");
  expect(await remove(one)).toBe(303);
  expect(await accountOf(one)).not.toContain("The blue key");
});

test("each change is in the person's audit log, and they are told of what gives access", async () => {
  const one = await somebody();
  const { browser, user } = one;
  await (await Client.registered()).signIn(browser);
  const { grants } = await user.json<{ grants: { id: string }[] }>("/api/grants");
  const other = new Visitor("http://localhost:8787"); // where passkeys work
  const [first] = await directory().sessions(user.id);
  await other.post("/sign-in", { name: browser.name, password: PASSWORD });
  const csrf = { csrf: await other.csrf("/account") };
  const { challenge } = await (await other.postJson("/account/passkey/options", csrf)).json<{ challenge: string }>();
  const response = await newPasskey(challenge, other.origin);
  expect((await other.postJson("/account/passkey", { ...csrf, response })).status).toBe(200);
  const [passkey] = await directory().passkeys(user.id);

  const form = { csrf: await browser.csrf("/account") };
  const change = async (path: string, more: Record<string, string> = {}): Promise<number> =>
    (await browser.post(`/account/${path}`, { ...form, ...more })).status;
  expect(await change("tokens", { label: "ci", may: "read", machine: "" })).toBe(200);
  const { tokens } = await user.json<{ tokens: { id: string }[] }>("/api/tokens");
  const signedIn = (await directory().sessions(user.id)).find(({ id }) => id !== first?.id);
  for (const path of [
    `tokens/${tokens[0]?.id}`,
    `grants/${grants[0]?.id}`,
    `passkeys/${passkey?.id}`,
    `browsers/${signedIn?.id}`,
  ])
    expect([path, await change(path)]).toEqual([path, 303]);
  expect(await change("password", { old: PASSWORD, password: "another good one" })).toBe(200);
  expect(await change("browsers")).toBe(303);

  const changes = async (): Promise<string[]> => {
    const { entries } = await user.json<{ entries: { kind: string; client: string; subject: string }[] }>("/api/audit");
    const own = entries.filter(({ client }) => client === "account page");
    return own.map(({ kind, subject }) => `${kind} ${subject}`).toSorted();
  };
  await expect
    .poll(changes)
    .toEqual([
      "credential_changed passkey added",
      "credential_changed passkey removed",
      "credential_changed password changed",
      "grant_revoked A client",
      "signed_out all browsers",
      "signed_out one browser",
      "token_created ci",
      "token_revoked ci",
    ]);
  const notices = async (): Promise<string[]> =>
    (await env.USER.getByName(user.id).notices(100)).filter(({ by }) => by === "account page").map(({ type }) => type);
  await expect
    .poll(async () => (await notices()).toSorted())
    .toEqual(["notice.passkey_added", "notice.password_changed", "notice.token_created"]);
});

test("a person has a limited number of passkeys, and is told so before they touch their device", async () => {
  const one = await somebody();
  const browser = new Visitor("http://localhost:8787"); // where passkeys work
  await browser.post("/sign-in", { name: one.browser.name, password: PASSWORD });
  const csrf = await browser.csrf("/account");
  const options = (): Promise<Response> => browser.postJson("/account/passkey/options", { csrf });
  const add = (from: number, to: number): Promise<void> =>
    runInDurableObject(directory(), (_, { storage }) => {
      for (let number = from; number <= to; number += 1)
        storage.sql.exec(
          "INSERT INTO passkey (id, person, public_key, counter, created_ms) VALUES (?, ?, ?, 0, ?)",
          `${one.user.id}-${number}`,
          one.user.id,
          new Uint8Array([1]),
          number,
        );
    });
  // Two began while there was room for one.
  await add(2, MAX_PASSKEYS);
  const touched: Promise<Response>[] = [];
  for (const begun of [await options(), await options()]) {
    const { challenge } = await begun.json<{ challenge: string }>();
    const response = await newPasskey(challenge, browser.origin);
    touched.push(browser.postJson("/account/passkey", { csrf, response }));
  }
  expect((await Promise.all(touched)).map(({ status }) => status).toSorted()).toEqual([200, 400]);
  const refused = await options();
  expect([refused.status, await refused.json()]).toEqual([409, { message: expect.stringContaining("You have 50") }]);
});

test("a person has a limited number of signed-in browsers, of which the one that was not used for longest goes", async () => {
  const [one, other] = [await somebody(), await somebody()];
  await runInDurableObject(directory(), (_, { storage }) => {
    for (let number = 1; number < MAX_SESSIONS; number += 1)
      storage.sql.exec(
        "INSERT INTO session (hash, person, created_ms, seen_ms) VALUES (?, ?, ?, ?)",
        `${one.user.id}-${number}`,
        one.user.id,
        0,
        Date.now() - 3_600_000 + number,
      );
  });
  const sessions = (): Promise<string[]> =>
    runInDurableObject(directory(), (_, { storage }) =>
      storage.sql
        .exec<{ hash: string }>("SELECT hash FROM session WHERE person = ? AND hash LIKE person || '-%'", one.user.id)
        .toArray()
        .map(({ hash }) => hash),
    );
  expect(await sessions()).toHaveLength(MAX_SESSIONS - 1);
  const headers = { "cf-connecting-ip": "203.0.113.60" };
  const again = await new Visitor().post("/sign-in", { name: one.browser.name, password: PASSWORD }, headers);
  expect(again.status).toBe(303);
  expect(await sessions()).toHaveLength(MAX_SESSIONS - 2);
  expect(await sessions()).not.toContain(`${one.user.id}-1`);
  expect((await other.browser.get("/account")).status).toBe(200);
});
