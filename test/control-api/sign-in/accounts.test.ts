import { runInDurableObject } from "cloudflare:test";
import { beforeAll, describe, expect, test } from "vitest";
import { COST } from "../../../control-api/src/sign-in/accounts/password-cost.ts";
import { COST as TEST_COST } from "../../support/stand-in/password-cost.ts";
import { scanned } from "../support/camera.ts";
import { ORIGIN } from "../support/operator.ts";
import {
  CLAIM_CODE,
  directory,
  invitation,
  PASSWORD,
  statusWith,
  Visitor,
  ask,
  bearer,
  Client,
} from "./support/visitor.ts";

let owner: Visitor;

beforeAll(async () => {
  owner = new Visitor();
});

describe("the owner's account", () => {
  test("can be claimed only with the code, and only once", async () => {
    expect(await (await ask("/api/claim")).json()).toEqual({ claimable: true });
    const wrong = await owner.post("/claim", { code: "WRONG-WRONG-WRONG-WRONG", name: "dana", password: PASSWORD });
    expect(wrong.status).toBe(401);
    const typed = CLAIM_CODE.toLowerCase().replaceAll("-", " ");
    const claimed = await owner.post("/claim", { code: typed, name: "dana", password: PASSWORD });
    expect(claimed.headers.get("location")).toBe("/");
    expect(await (await ask("/api/claim")).json()).toEqual({ claimable: false });
    const again = await new Visitor().post("/claim", { code: CLAIM_CODE, name: "eve", password: PASSWORD });
    expect(again.status).toBe(401);
    expect(await directory().person("owner")).toEqual({ id: "owner", name: "dana" });
  });

  test.each(["owner", "dana:192.0.2.7"])("is not held up by whoever tries to sign in as %j", async (name) => {
    const visit = { address: "192.0.2.7", browser: "x" };
    const sql = (query: string, ...values: number[]) =>
      runInDurableObject(directory(), (_, { storage }) => void storage.sql.exec(query, ...values));
    const entered = await directory().signIn("dana", PASSWORD, visit);
    if ("denied" in entered) throw new Error(entered.denied);
    await sql("DELETE FROM attempt");
    await directory().signIn(name, "wrong", { ...visit, address: "198.51.100.8" });
    // As if they had gone on.
    await sql("UPDATE attempt SET count = 1000, until_ms = ?", Date.now() + 60_000);
    expect(await directory().confirm(entered.session, PASSWORD, visit)).toBeNull();
    expect(await directory().signIn("dana", PASSWORD, visit)).toHaveProperty("session");
    await sql("DELETE FROM attempt");
  });

  test("may invite others, who may neither invite nor list people", async () => {
    const csrf = await owner.csrf("/account");
    const page = await (await owner.post("/account/invitations", { csrf })).text();
    const code = /[0-9A-Z]{5}(?:-[0-9A-Z]{5}){3}/.exec(page)?.[0] ?? "";
    expect(scanned(page)).toBe(`${ORIGIN}/invite#${code}`);
    const guest = new Visitor();
    expect((await guest.post("/invite", { code, name: "guest", password: PASSWORD })).status).toBe(303);
    const seen = await (await guest.get("/account")).text();
    expect(seen).not.toContain("dana");
    expect(seen).not.toContain("Invite someone");
    const forced = await guest.post("/account/invitations", { csrf: await guest.csrf("/account") });
    expect(forced.status).toBe(403);
    const victim = await Visitor.invited();
    const { id } = (await directory().people()).find(({ name }) => name === victim.name) ?? { id: "" };
    const removing = await guest.post(`/account/people/${id}`, { csrf: await guest.csrf("/account") });
    expect([removing.status, (await victim.get("/account")).status]).toEqual([403, 200]);
    const second = await new Visitor().post("/invite", { code, name: "guest2", password: PASSWORD });
    expect(second.status).toBe(401);
  });

  test("may remove a user, who is then signed out everywhere", async () => {
    const guest = await Visitor.invited("leaving");
    const client = await Client.registered();
    const tokens = await client.signIn(guest, { scope: "operator:admin mcp:tools" });
    const made = await ask("/api/tokens", { method: "POST", body: '{"label":"x"}', ...bearer(tokens.access_token) });
    const { token }: { token: string } = await made.json();
    expect(await statusWith(token)).toBe(200);
    const { id } = (await directory().people()).find(({ name }) => name === "leaving") ?? { id: "" };
    await owner.post(`/account/people/${id}`, { csrf: await owner.csrf("/account") });
    expect(await statusWith(tokens.access_token)).toBe(401);
    expect(await statusWith(token)).toBe(401);
    expect((await client.refresh(tokens.refresh_token)).status).toBe(400);
    expect((await guest.get("/account")).status).toBe(303);
  });
});

describe("a password", () => {
  test("opens its person's account, whatever the letter case of the name", async () => {
    await Visitor.invited("Frank");
    expect((await new Visitor().post("/sign-in", { name: " fRANK ", password: PASSWORD })).status).toBe(303);
  });

  test("is refused in the same way when it is wrong and when the name is unknown", async () => {
    await Visitor.invited("known");
    const answer = async (name: string) => {
      const response = await new Visitor().post("/sign-in", { name, password: "wrong wrong wrong" });
      return `${response.status} ${(await response.text()).replaceAll(name, "NAME")}`;
    };
    expect(await answer("known")).toBe(await answer("nobody"));
  });

  test("can be tried a few times from one address, after which even the right one is refused", async () => {
    await Visitor.invited("guessed");
    const headers = { "cf-connecting-ip": "203.0.113.9" };
    const statuses: number[] = [];
    for (let guess = 0; guess < 9; guess += 1)
      statuses.push(
        (await new Visitor().post("/sign-in", { name: "guessed", password: `wrong ${guess} wrong` }, headers)).status,
      );
    expect(statuses).toEqual([401, 401, 401, 401, 401, 401, 401, 401, 429]);
    expect((await new Visitor().post("/sign-in", { name: "guessed", password: PASSWORD }, headers)).status).toBe(429);
    const elsewhere = { "cf-connecting-ip": "203.0.113.10" };
    expect((await new Visitor().post("/sign-in", { name: "guessed", password: PASSWORD }, elsewhere)).status).toBe(303);
  });

  test("can be confirmed and changed with a wrong one as often as it can be tried, from everywhere together 300 times a day", async () => {
    const guessed = await Visitor.invited();
    const [secret = ""] = guessed.cookies.values();
    const from = (address: string) => ({ address, browser: "x" });
    const session = await directory().session(secret, from("203.0.113.14"));
    if (session === null) throw new Error("was just signed in");
    const { id } = session.person;
    const confirm = (address: string) => directory().confirm(secret, "wrong wrong wrong", from(address));
    const change = (address: string) =>
      directory().changePassword(id, "wrong wrong wrong", "another password", session.id, address);
    const answers = [];
    for (let count = 0; count < 4; count += 1)
      answers.push(await confirm("203.0.113.14"), await change("203.0.113.14"));
    expect(answers).toEqual(Array.from({ length: 8 }, () => ({ denied: "wrong" })));
    for (const guess of [confirm, change]) expect(await guess("203.0.113.14")).toMatchObject({ denied: "slow_down" });
    expect(await confirm("203.0.113.15")).toEqual({ denied: "wrong" });
    await runInDurableObject(directory(), (_accounts, { storage }) => {
      storage.sql.exec("UPDATE attempt SET count = 300 WHERE key = ?", `person:${id}`);
    });
    expect(await confirm("203.0.113.16")).toMatchObject({ denied: "slow_down" });
  });

  test("still works where its person has signed in before, even if strangers have used up the attempts of a day", async () => {
    const { name } = await Visitor.invited();
    const signIn = async (address: string) => {
      const headers = { "cf-connecting-ip": address };
      return (await new Visitor().post("/sign-in", { name, password: PASSWORD }, headers)).status;
    };
    expect(await signIn("203.0.113.11")).toBe(303);
    await runInDurableObject(directory(), (_accounts, { storage }) => {
      const used = "INSERT OR REPLACE INTO attempt VALUES (?, 300, ?)";
      storage.sql.exec(used, `password:${name}`, Date.now() + 60_000);
    });
    expect(await signIn("203.0.113.12")).toBe(429);
    expect(await signIn("203.0.113.11")).toBe(303);
    expect(await signIn("203.0.113.12")).toBe(429);
  });

  test("can be tried from one IPv6 network as often as from ten addresses, and refused attempts leave no rows", async () => {
    const { name } = await Visitor.invited();
    const signIn = async (address: string, password = PASSWORD) => {
      const headers = { "cf-connecting-ip": address };
      return (await new Visitor().post("/sign-in", { name, password }, headers)).status;
    };
    const rows = () =>
      runInDurableObject(directory(), (_accounts, { storage }) =>
        storage.sql.exec("SELECT key FROM attempt WHERE key LIKE '%2001:db8:%' ORDER BY key").toArray(),
      );
    expect(await signIn("2001:db8:1:1::1")).toBe(303);
    expect(await signIn("2001:db8:2:2::1", "wrong wrong wrong")).toBe(401);
    await runInDurableObject(directory(), (_accounts, { storage }) => {
      const { count } = storage.sql
        .exec<{ count: number }>("SELECT count FROM attempt WHERE key = 'sign-in:2001:db8::/32'")
        .one();
      expect(count).toBe(1);
      storage.sql.exec("UPDATE attempt SET count = 400 WHERE key = 'sign-in:2001:db8::/32'");
    });
    const before = await rows();
    for (const customer of [3, 4, 5]) expect(await signIn(`2001:db8:${customer}:1::1`)).toBe(429);
    expect(await rows()).toEqual(before);
    // Where the person has signed in before, and in other networks, nothing changes.
    expect(await signIn("2001:db8:1:1::1")).toBe(303);
    expect(await signIn("2001:db9:1:1::1")).toBe(303);
  });

  test("is refused if it is short", async () => {
    const code = await invitation();
    expect((await new Visitor().post("/invite", { code, name: "short", password: "123456789" })).status).toBe(400);
    expect((await new Visitor().post("/invite", { code, name: "short", password: "1234567890" })).status).toBe(303);
  });

  test("can be changed by a person who knows the old one, and that signs other browsers out", async () => {
    const here = await Visitor.invited("changing");
    const there = new Visitor();
    await there.post("/sign-in", { name: "changing", password: PASSWORD });
    const csrf = await here.csrf("/account");
    expect(
      (await here.post("/account/password", { csrf, old: "not this one", password: "another password" })).status,
    ).toBe(401);
    expect((await there.get("/account")).status).toBe(200);
    expect((await here.post("/account/password", { csrf, old: PASSWORD, password: "another password" })).status).toBe(
      200,
    );
    expect((await there.get("/account")).status).toBe(303);
    expect((await here.get("/account")).status).toBe(200);
    expect((await new Visitor().post("/sign-in", { name: "changing", password: PASSWORD })).status).toBe(401);
  });

  test("is stored as a slow hash with its own salt", async () => {
    await Visitor.invited("one");
    await Visitor.invited("two");
    const kept = await runInDurableObject(directory(), (_, state) =>
      state.storage.sql
        .exec<{ password: string }>("SELECT password FROM person WHERE name IN ('one', 'two')")
        .toArray(),
    );
    const [one = "", two = ""] = kept.map(({ password }) => password);
    expect(one).toContain(["scrypt", TEST_COST.log2N, TEST_COST.r, TEST_COST.p, ""].join("$"));
    expect(one).not.toBe(two);
    expect(one).not.toContain(PASSWORD);
  });
});

test("a password's hash costs at least what OWASP's Password Storage Cheat Sheet recommends", () => {
  const { log2N, r, p } = COST;
  expect(2 ** log2N * r * p).toBeGreaterThanOrEqual(2 ** 15 * 8 * 3);
});

describe("a browser's session", () => {
  test("is a cookie that scripts and other sites cannot read or send", async () => {
    const code = await invitation();
    const body = new URLSearchParams({ code, name: "cookie", password: PASSWORD });
    const response = await ask("/invite", { method: "POST", body, headers: { "sec-fetch-site": "same-origin" } });
    const cookie = response.headers.get("set-cookie") ?? "";
    expect(cookie).toMatch(/^operator-8787=[\w-]{43}; /);
    expect(cookie).toContain("HttpOnly");
    expect(cookie).toContain("SameSite=Lax");
    expect(cookie).toContain("Path=/");
    expect(cookie).not.toContain("Domain");
  });

  test("is one over https that no machine's address can set, and that no plain connection carries", async () => {
    const { name } = await Visitor.invited();
    const origin = ORIGIN.replace("http:", "https:");
    const body = new URLSearchParams({ name, password: PASSWORD });
    const signIn = { method: "POST", body, headers: { "sec-fetch-site": "same-origin" } };
    const cookie = (await ask("/sign-in", signIn, origin, { ORIGIN: origin })).headers.get("set-cookie") ?? "";
    expect(cookie).toMatch(/^__Host-operator=[\w-]{43}; /);
    expect(cookie.split("; ").slice(1).toSorted()).toEqual([
      "HttpOnly",
      expect.stringMatching(/^Max-Age=/),
      "Path=/",
      "SameSite=Lax",
      "Secure",
    ]);
  });

  test("ends on the server too when its person signs out", async () => {
    const visitor = await Visitor.invited();
    const copy = new Map(visitor.cookies);
    await visitor.post("/sign-out", { csrf: await visitor.csrf("/account") });
    expect(visitor.cookies.size).toBe(0);
    for (const [name, value] of copy) visitor.cookies.set(name, value);
    expect((await visitor.get("/account")).status).toBe(303);
  });

  test("is stored as a hash", async () => {
    const visitor = await Visitor.invited();
    const rows = await runInDurableObject(directory(), (_, state) =>
      JSON.stringify(state.storage.sql.exec("SELECT * FROM session").toArray()),
    );
    for (const secret of visitor.cookies.values()) expect(rows).not.toContain(secret);
  });
});

test("codes can be tried only a few times from one address", async () => {
  const headers = { "cf-connecting-ip": "203.0.113.20" };
  const statuses: number[] = [];
  for (let guess = 0; guess < 11; guess += 1)
    statuses.push(
      (await new Visitor().post("/invite", { code: `${guess}`, name: "x", password: PASSWORD }, headers)).status,
    );
  expect(statuses.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => 401));
  expect(statuses[10]).toBe(429);
});
