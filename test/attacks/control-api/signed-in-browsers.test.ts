// Root cause: nobody could see which browsers were signed in, and claiming the account again kept what the old owner's credentials had created.
// Whoever signed in at a browser left the person before them signed in there.
import { runInDurableObject } from "cloudflare:test";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { User } from "../../../control-api/src/user/user.ts";
import { browserNamed } from "../../../control-api/src/sign-in/browser-name.ts";
import {
  ask,
  bearer,
  Client,
  directory,
  invitation,
  PASSWORD,
  statusWith,
  Visitor,
} from "../../control-api/sign-in/support/visitor.ts";
import { env } from "../../control-api/support/operator.ts";
import { Receiver } from "../../control-api/support/receiver.ts";

const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const SAFARI =
  "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1";

async function signedIn(name: string, userAgent: string, address: string): Promise<Visitor> {
  const visitor = new Visitor();
  const headers = { "user-agent": userAgent, "cf-connecting-ip": address };
  const response = await visitor.post("/sign-in", { name, password: PASSWORD }, headers);
  if (response.status !== 303) throw new Error(`not signed in: ${response.status}`);
  return visitor;
}

function listed(page: string): { id: string; text: string }[] {
  return [
    ...page.matchAll(/<li><span>((?:(?!<\/li>).)*?)<\/span><form method="post" action="\/account\/browsers\/(\w+)">/gs),
  ].map(([, text = "", id = ""]) => ({ id, text }));
}

describe("the account page", () => {
  test("lists a person's browsers, marks the current one, and shows nobody else's", async () => {
    const person = await Visitor.invited();
    await signedIn(person.name, FIREFOX, "203.0.113.40");
    const phone = await signedIn(person.name, SAFARI, "203.0.113.41");
    await Visitor.invited();
    const page = await (await phone.get("/account")).text();
    const browsers = listed(page);
    expect(browsers).toHaveLength(3);
    expect(browsers.filter(({ text }) => text.includes("this browser"))).toHaveLength(1);
    expect(page).toContain("Firefox on Linux");
    expect(page).toContain("203.0.113.40");
  });

  test("ends the sign-in of whoever used a browser before, with their open pages", async () => {
    const [first, second] = [await Visitor.invited(), await Visitor.invited()];
    const former = new Visitor();
    for (const [name, value] of first.cookies) former.cookies.set(name, value);
    const stream = await former.get("/live");
    expect((await first.post("/sign-in", { name: second.name, password: PASSWORD })).status).toBe(303);
    expect(await (await first.get("/account")).text()).toContain(`<h1>${second.name}</h1>`);
    expect((await former.get("/account")).status).toBe(303);
    expect(await stream.text()).toContain("signed out");
  });

  test("signs one browser out at once, and no other", async () => {
    const person = await Visitor.invited();
    const lost = await signedIn(person.name, FIREFOX, "203.0.113.42");
    const stranger = await Visitor.invited();
    const browsers = listed(await (await person.get("/account")).text());
    const { id = "" } = browsers.find(({ text }) => text.includes("Firefox")) ?? {};
    await stranger.post(`/account/browsers/${id}`, { csrf: await stranger.csrf("/account") });
    expect((await lost.get("/account")).status).toBe(200);
    expect((await person.post(`/account/browsers/${id}`, { csrf: "" })).status).toBe(403);
    await person.post(`/account/browsers/${id}`, { csrf: await person.csrf("/account") });
    expect((await lost.get("/account")).status).toBe(303);
    expect((await person.get("/account")).status).toBe(200);
  });

  test("signs out everywhere, including this browser, and signs out nobody else", async () => {
    const person = await Visitor.invited();
    const [other, stranger] = [await signedIn(person.name, FIREFOX, "203.0.113.43"), await Visitor.invited()];
    const response = await person.post("/account/browsers", { csrf: await person.csrf("/account") });
    expect(response.headers.get("location")).toBe("/sign-in");
    expect(person.cookies.size).toBe(0);
    expect((await other.get("/account")).status).toBe(303);
    expect((await stranger.get("/account")).status).toBe(200);
  });

  test.each([
    [FIREFOX, "Firefox on Linux"],
    [SAFARI, "Safari on iPhone"],
    [
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0",
      "Edge on Windows",
    ],
    ["<script>alert(1)</script>", "An unknown browser"],
    ["your bank on Linux", "A browser on Linux"],
    [null, "An unknown browser"],
  ])("names a browser from a fixed list: %s", (userAgent, name) => {
    expect(browserNamed(userAgent)).toBe(name);
  });
});

describe("claiming the owner's account again", () => {
  // Other files claim this Operator, too: each finds it as if this one had not run.
  let claimedWith: string | undefined;
  const SETTING = "SELECT value FROM setting WHERE name = 'claimed_with'";
  beforeAll(async () => {
    claimedWith = await runInDurableObject(
      directory(),
      (_accounts, { storage }) => storage.sql.exec<{ value: string }>(SETTING).toArray()[0]?.value,
    );
  });
  afterAll(async () => {
    await runInDurableObject(directory(), (_accounts, { storage }) => {
      storage.sql.exec("DELETE FROM setting WHERE name = 'claimed_with'");
      if (claimedWith !== undefined) storage.sql.exec("INSERT INTO setting VALUES ('claimed_with', ?)", claimedWith);
    });
  });

  /** The owner's account as if it had been claimed with another code: the code of this Operator is a new one. */
  async function lose(): Promise<void> {
    await runInDurableObject(directory(), (_accounts, { storage }) => {
      storage.sql.exec("INSERT OR REPLACE INTO setting VALUES ('claimed_with', 'an older code')");
    });
  }

  test("ends what the account had before: apps, tokens, browsers, webhooks, codes and invitations", async () => {
    await lose();
    const claim = async () => {
      const owner = new Visitor();
      const form = { code: env.CLAIM_CODE ?? "", name: "dana", password: PASSWORD };
      expect((await owner.post("/claim", form)).status).toBe(303);
      return owner;
    };
    const before = await claim();
    const client = await Client.registered();
    const app = await client.signIn(before, { scope: "operator:admin mcp:tools" });
    const made = await ask("/api/tokens", { method: "POST", body: '{"label":"x"}', ...bearer(app.access_token) });
    const { token }: { token: string } = await made.json();
    const code = await invitation();
    const receiver = new Receiver();
    const hooked = await before.post("/notifications/receivers", {
      csrf: await before.csrf("/notifications"),
      kind: "webhook",
      url: receiver.url,
      all: "yes",
    });
    expect(hooked.status).toBe(200);
    const unredeemed = (await client.consent(before)).searchParams.get("code") ?? "";
    const bystander = await Visitor.invited();
    const theirs = await (await Client.registered()).signIn(bystander);
    await lose();
    const owner = await claim();
    for (const one of [app.access_token, token]) expect(await statusWith(one)).toBe(401);
    expect((await client.refresh(app.refresh_token)).status).toBe(400);
    expect((await client.redeem(unredeemed)).status).toBe(400);
    expect((await before.get("/account")).status).toBe(303);
    expect((await new Visitor().post("/invite", { code, name: "thief", password: PASSWORD })).status).toBe(401);
    expect((await owner.get("/account")).status).toBe(200);
    expect(await (await owner.get("/notifications")).text()).not.toContain("hooks.example");
    expect((await env.WEBHOOKS.getByName("owner").overview()).subscriptions).toEqual([]);
    expect(await statusWith(theirs.access_token)).toBe(200);
    expect((await bystander.get("/account")).status).toBe(200);
  });

  test("and nobody who had it before can make any of that again while it is being revoked", async () => {
    await lose();
    const form = { code: env.CLAIM_CODE ?? "", name: "dana", password: PASSWORD };
    const thief = new Visitor();
    expect((await thief.post("/claim", form)).status).toBe(303);
    const csrf = await thief.csrf("/account");
    await lose();
    const object = env.USER.getByName("owner") as unknown as DurableObjectStub<User>;
    const meanwhile: number[] = [];
    await runInDurableObject(object, async (user: User) => {
      const endAccess = user.endAccess.bind(user);
      const spied = vi.spyOn(Object.getPrototypeOf(user) as User, "endAccess").mockImplementation(async () => {
        await endAccess();
        meanwhile.push((await thief.post("/account/tokens", { csrf, label: "again", may: "manage" })).status);
        meanwhile.push((await new Visitor().post("/sign-in", { name: "dana", password: PASSWORD })).status);
      });
      const owner = new Visitor();
      expect((await owner.post("/claim", { ...form, password: "another horse battery" })).status).toBe(303);
      expect((await owner.get("/account")).status).toBe(200);
      spied.mockRestore();
      expect(user.tokens().filter(({ label }) => label === "again")).toEqual([]);
    });
    expect(meanwhile).toEqual([303, 401]);
  });
});
