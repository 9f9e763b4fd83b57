// Root cause: a cookie or a token of any age was enough for changes that give permanent access.
import { runInDurableObject } from "cloudflare:test";
import type { AuthenticationResponseJSON } from "@simplewebauthn/server";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Accounts } from "../../../control-api/src/sign-in/accounts/accounts.ts";
import type { Entered } from "../../../control-api/src/sign-in/accounts/accounts-rpc.ts";
import type { Denied } from "../../../control-api/src/sign-in/accounts/denied.ts";
import { User } from "../../../control-api/src/user/user.ts";
import {
  ask,
  bearer,
  Client,
  csrfIn,
  directory,
  PASSWORD,
  Visitor,
} from "../../control-api/sign-in/support/visitor.ts";
import { SoftPasskey } from "../../control-api/sign-in/support/passkey.ts";
import { env, TestUser } from "../../control-api/support/operator.ts";

afterEach(() => vi.restoreAllMocks());

/** A person whose browser has been signed in for a while. */
async function stale(): Promise<Visitor & { name: string }> {
  const visitor = await Visitor.invited();
  await age(visitor.name);
  return visitor;
}

/** Lets a while go by for this person's browsers. */
async function age(person: string): Promise<void> {
  await runInDurableObject(directory(), async (accounts, { storage }) => {
    const id = accounts.people().find(({ name }) => name === person)?.id ?? "";
    storage.sql.exec("UPDATE session SET proved_ms = proved_ms - 900001 WHERE person = ?", id);
  });
}

async function pageOf(visitor: Visitor): Promise<string> {
  return (await visitor.get("/account")).text();
}

const TOKEN = { label: "mine", may: "act", machine: "", calls: "", days: "" };

describe("a browser that somebody left signed in", () => {
  test.each([
    ["make a token", "/account/tokens", TOKEN],
    ["remove a passkey", "/account/passkeys/some-passkey", {}],
    ["invite somebody", "/account/invitations", {}],
    ["remove somebody", "/account/people/u-somebody", {}],
    ["have clients answer permission requests", "/account/approvals/attic", { allow: "yes" }],
  ])("cannot %s before its person confirms", async (_, path, form) => {
    const visitor = await stale();
    const csrf = await visitor.csrf("/account");
    const response = await visitor.post(path, { csrf, ...form });
    const to = response.headers.get("location")?.replace("%23approvals", "");
    expect([response.status, to]).toEqual([303, "/sign-in/confirm?next=%2Faccount"]);
    expect(await pageOf(visitor)).not.toContain("access token, since");
  });

  test.each(["/account/passkey", "/account/passkey/options"])("cannot add a passkey at %s", async (path) => {
    const visitor = await stale();
    const csrf = await visitor.csrf("/account");
    const cookie = Array.from(visitor.cookies, ([name, value]) => `${name}=${value}`).join("; ");
    const headers = { cookie, "content-type": "application/json", "sec-fetch-site": "same-origin" };
    const response = await ask(path, { method: "POST", headers, body: JSON.stringify({ csrf, response: {} }) });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ confirm: "/sign-in/confirm?next=%2Faccount" });
  });

  test("cannot allow an app or a computer, but can deny them", async () => {
    const visitor = await stale();
    const app = await Client.registered();
    const path = app.authorizePath();
    const csrf = csrfIn(await (await visitor.get(path)).text());
    const allowed = await visitor.post(path, { csrf, decision: "allow" });
    expect(allowed.headers.get("location")).toMatch(/^\/sign-in\/confirm\?next=%2Foauth%2Fauthorize%3F/);
    const denied = await visitor.post(path, { csrf, decision: "deny" });
    expect(denied.headers.get("location")).toContain("error=access_denied");
    const body = new URLSearchParams({ client_id: app.id, scope: "operator:admin" });
    const begun = await ask("/oauth/device_authorization", { method: "POST", body });
    const { user_code: code }: { user_code: string } = await begun.json();
    const paired = await visitor.post("/pair", { csrf: await visitor.csrf("/pair"), code, decision: "allow" });
    expect(paired.headers.get("location")).toBe(`/sign-in/confirm?next=%2Fpair%3Fcode%3D${code}`);
    expect(await directory().askedByDevice(code, "somebody")).not.toBeNull();
    expect((await visitor.post("/pair", { csrf: await visitor.csrf("/pair"), code, decision: "deny" })).status).toBe(
      200,
    );
  });

  test("cannot have pages allow more again, also if its person allows less at that moment", async () => {
    const visitor = await stale();
    const id = (await directory().people()).find(({ name }) => name === visitor.name)?.id ?? "";
    await new TestUser(id).machine("attic");
    const form = await visitor.fields("/machines/attic");
    const { setPageApproval: real } = User.prototype;
    vi.spyOn(User.prototype, "setPageApproval").mockImplementationOnce(function (this: User, ...asked) {
      real.call(this, "attic", "nothing", true, null);
      return real.apply(this, asked);
    });
    const answer = await visitor.post("/machines/attic/approval", { ...form, approval: "session" });
    expect(answer.headers.get("location")).toBe("/sign-in/confirm?next=%2Fmachines%2Fattic%23approval");
    expect((await env.USER.getByName(id).machine("attic"))?.pageApproval).toBe("nothing");
    const less = await visitor.post("/machines/attic/approval", { ...form, approval: "nothing" });
    expect(less.headers.get("location")).toBe("/machines/attic#approval");
  });

  test("can do these for a quarter of an hour after its person entered their password, and no other of theirs can", async () => {
    const [visitor, elsewhere] = [await Visitor.invited(), new Visitor()];
    await elsewhere.post("/sign-in", { name: visitor.name, password: PASSWORD });
    await age(visitor.name);
    expect(await pageOf(visitor)).toContain("Confirm that it is you");
    const csrf = await visitor.csrf("/sign-in/confirm");
    const wrong = await visitor.post("/sign-in/confirm", { csrf, next: "/account", password: "wrong wrong wrong" });
    expect(wrong.status).toBe(401);
    expect(await pageOf(visitor)).toContain("Confirm that it is you");
    const next = "https://evil.test/";
    const confirmed = await visitor.post("/sign-in/confirm", { csrf, next, password: PASSWORD });
    expect(confirmed.headers.get("location")).toBe("/");
    const made = await (await visitor.post("/account/tokens", { csrf, ...TOKEN, calls: "10" })).text();
    const [token = ""] = /opr_[a-z0-9-]+_[\w-]{43}/.exec(made) ?? [];
    expect((await ask("/api/machines", bearer(token))).status).toBe(200);
    expect(await pageOf(visitor)).toContain("at most 10 calls a day");
    expect(await pageOf(elsewhere)).toContain("Confirm that it is you");
  });

  test("cannot be confirmed with another person's password, or by guessing", async () => {
    const visitor = await stale();
    const csrf = await visitor.csrf("/sign-in/confirm");
    const stranger = await new Visitor().post("/sign-in/confirm", { csrf, next: "/account", password: PASSWORD });
    expect(stranger.headers.get("location")).toMatch(/^\/sign-in\?/);
    expect((await visitor.post("/sign-in/confirm", { csrf: "", next: "", password: PASSWORD })).status).toBe(403);
    const headers = { "cf-connecting-ip": "203.0.113.60" };
    const statuses: number[] = [];
    for (let guess = 0; guess < 9; guess += 1) {
      const form = { csrf, next: "/account", password: `wrong ${guess} wrong` };
      statuses.push((await visitor.post("/sign-in/confirm", form, headers)).status);
    }
    expect(statuses).toEqual([401, 401, 401, 401, 401, 401, 401, 401, 429]);
  });

  test("cannot set a password for an account that has only passkeys", async () => {
    const visitor = await stale();
    await runInDurableObject(directory(), (_accounts, { storage }) => {
      storage.sql.exec("UPDATE person SET password = NULL WHERE name = ?", visitor.name);
    });
    const form = { csrf: await visitor.csrf("/account"), old: "", password: "a new password" };
    expect((await visitor.post("/account/password", form)).headers.get("location")).toContain("/sign-in/confirm");
  });
});

describe("a passkey", () => {
  /** Passkeys need a domain. */
  const SITE = "http://localhost:8787";

  async function idOf(name: string): Promise<string> {
    return (await directory().people()).find((person) => person.name === name)?.id ?? "";
  }

  async function confirm(
    visitor: Visitor,
    answerTo: (challenge: string) => Promise<object>,
    address: string = crypto.randomUUID(),
  ): Promise<Response> {
    const cookie = Array.from(visitor.cookies, ([name, value]) => `${name}=${value}`).join("; ");
    const from = { cookie, "cf-connecting-ip": address };
    const headers = { ...from, "content-type": "application/json", "sec-fetch-site": "same-origin" };
    const csrf = await visitor.csrf("/sign-in/confirm");
    const send = (path: string, body: object) =>
      ask(path, { method: "POST", headers, body: JSON.stringify(body) }, SITE);
    const options = await send("/sign-in/confirm/passkey/options", { csrf });
    const { challenge }: { challenge: string } = await options.json();
    return send("/sign-in/confirm/passkey", { csrf, next: "/pair?code=X", response: await answerTo(challenge) });
  }

  test("of the person signed in confirms, once for each challenge", async () => {
    const visitor = await stale();
    const passkey = await SoftPasskey.of(await idOf(visitor.name), SITE);
    let answered: object = {};
    const confirmed = await confirm(visitor, async (challenge) => (answered = await passkey.answer(challenge)));
    expect([confirmed.status, await confirmed.json()]).toEqual([200, { next: "/pair?code=X" }]);
    expect(await pageOf(visitor)).not.toContain("Confirm that it is you");
    const other = await stale();
    expect((await confirm(other, () => Promise.resolve(answered))).status).toBe(401);
  });

  test("confirms also after strangers at the same address have used up their attempts", async () => {
    const visitor = await stale();
    const passkey = await SoftPasskey.of(await idOf(visitor.name), SITE);
    const [address, nothing] = ["203.0.113.61", { id: "none", response: {} } as AuthenticationResponseJSON];
    const visit = { address, browser: "a browser" };
    const [id, origin] = [new URL(SITE).hostname, SITE];
    await runInDurableObject(directory(), async (accounts: Accounts) => {
      let last: Entered | Denied = { denied: "wrong" };
      while ("denied" in last && last.denied === "wrong")
        last = await accounts.signInWithPasskey(nothing, { id, origin }, visit);
      expect(last).toMatchObject({ denied: "slow_down" });
    });
    const confirmed = await confirm(visitor, (challenge) => passkey.answer(challenge), address);
    expect(confirmed.status).toBe(200);
  });

  test("can be tried so often in one browser, not counting its own, and as often in another one at the same address", async () => {
    const [visitor, other] = [await stale(), await stale()];
    const passkey = await SoftPasskey.of(await idOf(visitor.name), SITE);
    const theirs = await SoftPasskey.of(await idOf(other.name), SITE);
    const [address, nothing] = ["203.0.113.62", { id: "none", response: {} } as AuthenticationResponseJSON];
    const [secret = ""] = other.cookies.values();
    const site = { id: new URL(SITE).hostname, origin: SITE };
    const guesses = (times: number): Promise<unknown[]> =>
      runInDurableObject(directory(), async (accounts: Accounts) => {
        const guess = () => accounts.confirmWithPasskey(secret, nothing, site, { address, browser: "a browser" });
        const answers = [];
        for (let count = 0; count < times; count += 1) answers.push(await guess());
        return answers;
      });
    expect(await guesses(39)).toEqual(Array.from({ length: 39 }, () => ({ denied: "wrong" })));
    expect((await confirm(other, (challenge) => theirs.answer(challenge), address)).status).toBe(200);
    expect(await guesses(2)).toMatchObject([{ denied: "wrong" }, { denied: "slow_down" }]);
    const confirmed = await confirm(visitor, (challenge) => passkey.answer(challenge), address);
    expect(confirmed.status).toBe(200);
  });

  test("of another person does not confirm", async () => {
    const [visitor, other] = [await stale(), await Visitor.invited()];
    const theirs = await SoftPasskey.of(await idOf(other.name), SITE);
    expect((await confirm(visitor, (challenge) => theirs.answer(challenge))).status).toBe(401);
    expect(await pageOf(visitor)).toContain("Confirm that it is you");
  });
});

describe("the form for a new token", () => {
  test("refuses an invalid limit instead of creating a token without one", async () => {
    const visitor = await Visitor.invited();
    const csrf = await visitor.csrf("/account");
    const wrong = [
      { calls: "0" },
      { calls: "ten" },
      { days: "-1" },
      { may: "all" },
      { label: "" },
      { machine: "nosuch" },
    ];
    for (const one of [...wrong, { may: "manage", calls: "5" }])
      expect((await visitor.post("/account/tokens", { csrf, ...TOKEN, ...one })).status).toBe(400);
    expect(await pageOf(visitor)).not.toContain("access token, since");
  });
});

/** Deploys a hosted server, again with each call. */
async function deploy(user: TestUser, name: string): Promise<void> {
  const form = new FormData();
  const config = { mainModule: "a.js", compatibilityDate: "2026-08-01", compatibilityFlags: [] };
  form.set("config", JSON.stringify({ ...config, vars: {}, objects: [], migrations: [] }));
  form.append("a.js", new File(["export default {};"], "a.js", { type: "application/javascript+module" }));
  const encoded = new Response(form);
  const bytes = await encoded.arrayBuffer();
  const headers = {
    "content-type": encoded.headers.get("content-type") ?? "",
    "content-length": String(bytes.byteLength),
  };
  const deployed = await user.fetch(`/api/servers/${name}`, { method: "PUT", headers, body: bytes });
  if (!deployed.ok) throw new Error(await deployed.text());
}

describe("a hosted server with its data", () => {
  test("is not deleted by a browser that somebody left signed in, before its person confirms", async () => {
    const visitor = await stale();
    const id = (await directory().people()).find(({ name }) => name === visitor.name)?.id ?? "";
    const user = new TestUser(id);
    await deploy(user, "notes");
    const form = await visitor.fields("/machines/notes/remove");
    const removed = await visitor.post("/machines/notes/remove", form);
    expect(removed.headers.get("location")).toBe("/sign-in/confirm?next=%2Fmachines%2Fnotes%2Fremove");
    expect((await user.rest("GET", "/api/servers/notes")).status).toBe(200);
    const confirmed = await visitor.post("/sign-in/confirm", {
      csrf: await visitor.csrf("/sign-in/confirm"),
      next: "/machines/notes/remove",
      password: PASSWORD,
    });
    expect(confirmed.headers.get("location")).toBe("/machines/notes/remove");
    const again = await visitor.post("/machines/notes/remove", form);
    expect(again.headers.get("location")).toBe("/machines?removed=notes");
    expect((await user.rest("GET", "/api/servers/notes")).status).toBe(404);
  });

  test.each(["/api/servers/notes", "/api/machines/notes"])(
    "is not deleted at %s by a token behind which there need not be a person, while a machine can be removed",
    async (path) => {
      const user = new TestUser();
      await Promise.all([deploy(user, "notes"), user.machine("attic")]);
      const made = await user.rest("POST", "/api/tokens", { label: "ci", scopes: ["operator:admin"] });
      const ci = new TestUser(user.id, (await made.json<{ token: string }>()).token);
      const refused = await ci.rest("DELETE", path);
      expect([refused.status, await refused.json()]).toMatchObject([403, { error: { code: "fresh_sign_in_needed" } }]);
      expect((await user.rest("GET", "/api/servers/notes")).status).toBe(200);
      expect((await ci.rest("DELETE", "/api/machines/attic")).status).toBe(204);
      expect((await user.rest("DELETE", path)).status).toBe(204);
    },
  );

  test("tells its person what a token changed in it, and many changes push out nothing else", async () => {
    const user = new TestUser();
    await deploy(user, "notes");
    const made = await user.rest("POST", "/api/tokens", { label: "ci", scopes: ["operator:admin"] });
    const ci = new TestUser(user.id, (await made.json<{ token: string }>()).token);
    await deploy(ci, "notes");
    await deploy(ci, "notes");
    expect((await ci.rest("POST", "/api/servers/notes/rollback")).status).toBe(200);
    const notices = async () =>
      (await env.USER.getByName(user.id).notices(100))
        .map(({ type, what, by }) => `${type}: ${what}, ${by}`)
        .toSorted();
    await expect.poll(async () => (await notices()).length).toBeGreaterThanOrEqual(4);
    expect(await notices()).toEqual([
      "notice.machine_added: notes, loopback",
      "notice.server_changed: notes (earlier code), ci",
      "notice.server_changed: notes (new code), ci",
      "notice.token_created: ci, loopback",
    ]);
  });
});

describe("a program", () => {
  const body = '{"label":"more"}';
  const make = (token: string) => ask("/api/tokens", { method: "POST", body, ...bearer(token) });

  test("may create tokens for a quarter of an hour after its person allowed it", async () => {
    const tokens = await (await Client.registered()).signIn(await Visitor.invited(), { scope: "operator:admin" });
    expect((await make(tokens.access_token)).status).toBe(201);
    const laterMs = Date.now() + 900_001;
    vi.spyOn(Date, "now").mockReturnValue(laterMs);
    const refused = await make(tokens.access_token);
    expect([refused.status, await refused.json()]).toMatchObject([403, { error: { code: "fresh_sign_in_needed" } }]);
    expect((await ask("/api/tokens", bearer(tokens.access_token))).status).toBe(200);
  });

  test("does not renew that time by refreshing its token", async () => {
    const client = await Client.registered();
    const tokens = await client.signIn(await Visitor.invited(), { scope: "operator:admin" });
    const laterMs = Date.now() + 900_001;
    vi.spyOn(Date, "now").mockReturnValue(laterMs);
    const { access_token: next }: { access_token: string } = await (await client.refresh(tokens.refresh_token)).json();
    expect((await make(next)).status).toBe(403);
  });

  test("with a personal access token creates none, unless that token was created with that right", async () => {
    const user = new TestUser();
    const token = async (scopes?: string[]): Promise<string> => {
      const made = await user.rest("POST", "/api/tokens", { label: "x", ...(scopes === undefined ? {} : { scopes }) });
      return (await made.json<{ token: string }>()).token;
    };
    expect((await make(await token())).status).toBe(403);
    const maker = await token(["operator:admin", "operator:tokens"]);
    const made = await make(maker);
    expect([made.status, await made.json()]).toMatchObject([201, { scopes: ["operator:admin"] }]);
    const limited = { label: "x", machines: ["attic"], scopes: ["operator:tokens"] };
    expect((await user.rest("POST", "/api/tokens", limited)).status).toBe(400);
  });
});
