// Root cause: what was made with a permission did not know by whom or for what, and so outlived the app, the refresh token or
// the computer that it was given to.
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import type { User } from "../../../control-api/src/user/user.ts";
import {
  Client,
  errorOf,
  ask,
  bearer,
  statusWith,
  token,
  type Tokens,
  Visitor,
} from "../../control-api/sign-in/support/visitor.ts";
import { env, TestUser } from "../../control-api/support/operator.ts";

async function made(accessToken: string, more: object = {}): Promise<{ id: string; token: string }> {
  const body = JSON.stringify({ label: "for later", ...more });
  const response = await ask("/api/tokens", { method: "POST", body, ...bearer(accessToken) });
  if (response.status !== 201) throw new Error(await response.text());
  return response.json();
}

const ADMIN = { scope: "operator:admin mcp:tools" };
/** What a token needs in order to make others without a person. */
const MAKER = { scopes: ["mcp:tools", "operator:admin", "operator:tokens"] };

describe("tokens that an app created end with the app's access", () => {
  let person: Visitor;
  let client: Client;
  let tokens: Tokens;
  beforeEach(async () => {
    person = await Visitor.invited();
    client = await Client.registered();
    tokens = await client.signIn(person, ADMIN);
  });

  async function grants(accessToken: string): Promise<{ id: string }[]> {
    return (await (await ask("/api/grants", bearer(accessToken))).json<{ grants: { id: string }[] }>()).grants;
  }

  test("when its person revokes the grant on the account page, with everything those tokens created", async () => {
    const first = await made(tokens.access_token, MAKER);
    const second = await made(first.token);
    expect([await statusWith(first.token), await statusWith(second.token)]).toEqual([200, 200]);
    const [grant] = await grants(tokens.access_token);
    await person.post(`/account/grants/${grant?.id}`, { csrf: await person.csrf("/account") });
    for (const one of [tokens.access_token, first.token, second.token]) expect(await statusWith(one)).toBe(401);
  });

  test("also after the app was allowed again, which replaces its grant", async () => {
    const first = await made(tokens.access_token);
    const key = await ask("/api/keys", { method: "POST", body: '{"tag":"ci","ephemeral":true}', ...bearer(tokens.access_token) }); // prettier-ignore
    expect(key.status).toBe(201);
    const again = await client.signIn(person, ADMIN);
    expect([await statusWith(tokens.access_token), await statusWith(first.token)]).toEqual([401, 200]);
    const [grant, ...others] = await grants(again.access_token);
    expect(others).toEqual([]);
    await person.post(`/account/grants/${grant?.id}`, { csrf: await person.csrf("/account") });
    expect(await statusWith(first.token)).toBe(401);
    expect((await (await client.signIn(person, ADMIN).then((last) => ask("/api/keys", bearer(last.access_token)))).json<{ keys: object[] }>()).keys).toEqual([]); // prettier-ignore
  });

  test("when its code is used a second time, by whoever was too late", async () => {
    const code = (await client.consent(person, ADMIN)).searchParams.get("code") ?? "";
    const thief = await (await client.redeem(code)).json<Tokens>();
    const kept = await made(thief.access_token);
    expect(await statusWith(kept.token)).toBe(200);
    expect(await errorOf(await client.redeem(code))).toBe("invalid_grant");
    expect([await statusWith(thief.access_token), await statusWith(kept.token)]).toEqual([401, 401]);
  });

  test("when another of the person's clients revokes it, and other apps keep theirs", async () => {
    const other = await (await Client.registered()).signIn(person, ADMIN);
    const [mine, others] = [await made(tokens.access_token), await made(other.access_token)];
    const id = tokens.access_token.split(":")[1];
    expect((await ask(`/api/grants/${id}`, { method: "DELETE", ...bearer(other.access_token) })).status).toBe(204);
    expect([await statusWith(mine.token), await statusWith(others.token)]).toEqual([401, 200]);
  });

  test("or, if another token created them, with that token", async () => {
    const parent = await made(tokens.access_token, MAKER);
    const child = await made(parent.token);
    const headers = bearer(tokens.access_token);
    expect((await ask(`/api/tokens/${parent.id}`, { method: "DELETE", ...headers })).status).toBe(204);
    expect([await statusWith(child.token), await statusWith(tokens.access_token)]).toEqual([401, 200]);
  });

  test("and expire no later than the token that created them, through all generations", async () => {
    const expiresMs = Date.now() + 60_000;
    const parent = await made(tokens.access_token, { ...MAKER, expiresMs });
    const child = await made(parent.token, MAKER);
    const grandchild = await made(child.token);
    const sooner = await made(child.token, { expiresMs: expiresMs - 30_000 });
    for (const late of [expiresMs + 1, expiresMs + 1e12]) {
      const body = JSON.stringify({ label: "for good", expiresMs: late });
      const refused = await ask("/api/tokens", { method: "POST", body, ...bearer(child.token) });
      expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining("may last longer")]);
    }
    const kept = await made(tokens.access_token, { expiresMs: expiresMs + 1e9 }); // a person may do that
    onTestFinished(() => void vi.restoreAllMocks());
    vi.spyOn(Date, "now").mockReturnValue(expiresMs - 10_000);
    expect(await Promise.all([child, grandchild, sooner].map((one) => statusWith(one.token)))).toEqual([200, 200, 401]);
    vi.spyOn(Date, "now").mockReturnValue(expiresMs);
    for (const one of [parent, child, grandchild]) expect(await statusWith(one.token)).toBe(401);
    expect(await statusWith(kept.token)).toBe(200);
  });

  test("also the last of a chain of tokens that is longer than a stack of calls may be deep", async () => {
    const user = new TestUser();
    const limits = { label: "first", scopes: ["operator:admin"] };
    const { id }: { id: string } = await (await user.rest("POST", "/api/tokens", limits)).json();
    const object = env.USER.getByName(user.id) as unknown as DurableObjectStub<User>;
    // As somebody makes them who has the first one for an hour, each with the one before.
    const left = await runInDurableObject(object, (_, { storage: { sql } }) => {
      sql.exec(
        `WITH RECURSIVE link (n) AS (SELECT 1 UNION SELECT n + 1 FROM link WHERE n < 30000)
         INSERT INTO access_token (id, hash, label, scopes, created_ms, made_with)
         SELECT 'link-' || n, 'hash-' || n, 'x', '[]', 0, 'token:' || iif(n = 1, ?, 'link-' || (n - 1)) FROM link`,
        id,
      );
      return () => sql.exec<{ tokens: number }>("SELECT count(*) AS tokens FROM access_token").one().tokens;
    });
    expect((await user.rest("DELETE", `/api/tokens/${id}`)).status).toBe(204);
    expect(await runInDurableObject(object, left)).toBe(0);
  });

  test("and cannot be hidden among more than a thousand", async () => {
    const user = new TestUser();
    const limits = { label: "first", scopes: ["operator:admin"] };
    const { id }: { id: string } = await (await user.rest("POST", "/api/tokens", limits)).json();
    const object = env.USER.getByName(user.id) as unknown as DurableObjectStub<User>;
    await runInDurableObject(object, (_, { storage: { sql } }) => {
      // Those that have expired do not count.
      sql.exec(
        `WITH RECURSIVE number (n) AS (SELECT 1 UNION SELECT n + 1 FROM number WHERE n < 1998)
         INSERT INTO access_token (id, hash, label, scopes, created_ms, expires_ms, made_with)
         SELECT 'token-' || n, 'hash-' || n, 'x', '[]', 0, iif(n < 1000, 1, NULL), 'token:' || ? FROM number`,
        id,
      );
    });
    // With the first there are a thousand.
    const refused = await user.rest("POST", "/api/tokens", limits);
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining("1000 tokens")]);
    expect((await user.rest("DELETE", `/api/tokens/${id}`)).status).toBe(204);
    expect((await user.rest("POST", "/api/tokens", limits)).status).toBe(201);
  });

  test("and are not kept without end after they have expired", async () => {
    const user = new TestUser();
    const object = env.USER.getByName(user.id) as unknown as DurableObjectStub<User>;
    const valid = { label: "valid", scopes: ["operator:admin"] };
    expect((await user.rest("POST", "/api/tokens", valid)).status).toBe(201);
    await runInDurableObject(object, (_, { storage: { sql } }) => {
      sql.exec(
        `WITH RECURSIVE number (n) AS (SELECT 1 UNION SELECT n + 1 FROM number WHERE n < 500)
         INSERT INTO access_token (id, hash, label, scopes, created_ms, expires_ms)
         SELECT 'token-' || n, 'hash-' || n, 'expired', '[]', 0, n FROM number`,
      );
    });
    expect((await user.rest("POST", "/api/tokens", valid)).status).toBe(201);
    const { tokens: listed } = await user.json<{ tokens: { id: string; label: string }[] }>("/api/tokens");
    const expired = listed.filter(({ label }) => label === "expired").map(({ id }) => id);
    expect([listed.length - expired.length, expired.length]).toEqual([2, 100]);
    expect(expired).toContain("token-500");
    expect(expired).not.toContain("token-400");
  });

  test("but a token stays when the program that requested it signs itself out, as codez does", async () => {
    const kept = await made(tokens.access_token);
    expect((await token({ token: tokens.refresh_token, client_id: client.id })).status).toBe(200);
    expect(await statusWith(tokens.access_token)).toBe(401);
    expect(await statusWith(kept.token)).toBe(200);
  });
});

describe("a refresh token used again after it was replaced (RFC 9700 section 4.14.2)", () => {
  test("ends the grant, whichever side uses it, and everything that the app created", async () => {
    const client = await Client.registered();
    const first = await client.signIn(await Visitor.invited(), ADMIN);
    const second: Tokens = await (await client.refresh(first.refresh_token)).json();
    const third: Tokens = await (await client.refresh(second.refresh_token)).json();
    const later = await made(third.access_token);
    expect([await statusWith(third.access_token), await statusWith(later.token)]).toEqual([200, 200]);
    // This must differ from the earlier request, which gets the same answer for half a minute.
    expect(await errorOf(await client.refresh(first.refresh_token, { scope: "mcp:tools" }))).toBe("invalid_grant");
    for (const one of [first.access_token, second.access_token, third.access_token, later.token])
      expect(await statusWith(one)).toBe(401);
    expect(await errorOf(await client.refresh(third.refresh_token))).toBe("invalid_grant");
  });

  test.each(["of nobody", "of another person"])(
    "also beside a code %s, which is not what is redeemed",
    async (whose) => {
      const client = await Client.registered();
      const [victim, thief] = [await Visitor.invited(), await Visitor.invited()];
      const theirs = whose === "of nobody" ? "nobody:nothing:0" : (await client.signIn(thief)).access_token;
      const first = await client.signIn(victim, ADMIN);
      const second: Tokens = await (await client.refresh(first.refresh_token, { code: theirs })).json();
      const third: Tokens = await (await client.refresh(second.refresh_token, { code: theirs })).json();
      expect(await statusWith(third.access_token)).toBe(200);
      expect(await errorOf(await client.refresh(first.refresh_token, { token: theirs }))).toBe("invalid_grant");
      expect(await statusWith(third.access_token)).toBe(401);
    },
  );

  test("has no effect if it was invented", async () => {
    const client = await Client.registered();
    const tokens = await client.signIn(await Visitor.invited());
    const [user, grant] = tokens.refresh_token.split(":");
    for (const wrong of [`${user}:${grant}:${"x".repeat(32)}`, tokens.access_token])
      expect((await client.refresh(wrong)).status).toBe(400);
    expect(await statusWith(tokens.access_token)).toBe(200);
    expect((await client.refresh(tokens.refresh_token)).status).toBe(200);
  });

  test("may be used again by a client whose answer was lost", async () => {
    const client = await Client.registered();
    const tokens = await client.signIn(await Visitor.invited());
    await (await client.refresh(tokens.refresh_token)).body?.cancel();
    const again = await client.refresh(tokens.refresh_token, { scope: "mcp:tools" });
    expect(again.status).toBe(200);
    const next: Tokens = await again.json();
    expect(await statusWith(next.access_token)).toBe(200);
  });
});

describe("a token's limit to machines", () => {
  async function limited(user: TestUser): Promise<string> {
    await user.machine("attic");
    await user.machine("cellar");
    const response = await user.rest("POST", "/api/tokens", { label: "x", machines: ["attic"] });
    return (await response.json<{ token: string }>()).token;
  }

  async function visible(pat: string): Promise<string[]> {
    const { machines }: { machines: { name: string }[] } = await (await ask("/api/machines", bearer(pat))).json();
    return machines.map(({ name }) => name);
  }

  test("is refused while the computer behind the name is unknown, because another one could get it", async () => {
    const user = new TestUser();
    for (const name of ["attic", "cellar"]) await user.machine(name);
    const object = env.USER.getByName(user.id) as unknown as DurableObjectStub<User>;
    // As in a registry that was rebuilt from scripts older than 0.2.
    await runInDurableObject(object, (_, { storage }) =>
      storage.sql.exec("UPDATE machine SET identity = ''").toArray(),
    );
    const refused = await user.rest("POST", "/api/tokens", { label: "x", machines: ["cellar"] });
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining("codez setup")]);
    await user.register("cellar");
    const narrow = await user.rest("POST", "/api/tokens", { label: "x", machines: ["cellar"] });
    expect(await visible((await narrow.json<{ token: string }>()).token)).toEqual(["cellar"]);
  });

  test("does not pass to another computer that gets the name", async () => {
    const user = new TestUser();
    const pat = await limited(user);
    expect(await visible(pat)).toEqual(["attic"]);
    expect((await user.register("attic", { identity: "identity-of-another", replace: true })).status).toBe(200);
    expect(await visible(pat)).toEqual([]);
    expect(await statusWith(pat, "/api/machines/attic")).toBe(404);
    expect(await statusWith(pat, `/m/${await user.slug("attic")}/mcp`)).toBe(404);
  });

  test("does not pass to another computer after the first was removed, and applies again when the first returns", async () => {
    const user = new TestUser();
    const pat = await limited(user);
    await user.rest("DELETE", "/api/machines/attic");
    await user.register("attic", { identity: "identity-of-another" });
    expect(await visible(pat)).toEqual([]);
    await user.rest("DELETE", "/api/machines/attic");
    await user.register("attic");
    expect(await visible(pat)).toEqual(["attic"]);
  });

  test("follows the machine to its new name, which the list shows", async () => {
    const user = new TestUser();
    const pat = await limited(user);
    // The database is what a rename leaves behind; its scripts are another test's matter.
    await runInDurableObject(env.USER.getByName(user.id) as unknown as DurableObjectStub<User>, (_, { storage }) => {
      storage.sql.exec("UPDATE machine SET name = 'loft', slug = 'loft-x' WHERE name = 'attic'");
    });
    expect(await visible(pat)).toEqual(["loft"]);
    const { tokens }: { tokens: { machines: string[] }[] } = await user.json("/api/tokens");
    expect(tokens[0]?.machines).toEqual(["loft"]);
  });
});
