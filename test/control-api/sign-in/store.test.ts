import { createExecutionContext } from "cloudflare:test";
import { describe, expect, test, vi } from "vitest";
import { OAuthImport } from "../../../control-api/src/sign-in/oauth/store/import.ts";
import { SHARDS, shardOf } from "../../../control-api/src/sign-in/oauth/store/shard.ts";
import { Store } from "../../../control-api/src/sign-in/oauth/store/store.ts";
import { env } from "../support/operator.ts";
import { Client, statusWith, Visitor } from "./support/visitor.ts";

const store = new Store(env);

/** A user whom no other test has. */
const someone = () => `u-${crypto.randomUUID()}`;

async function namesUnder(prefix: string, limit: number): Promise<string[]> {
  const names: string[] = [];
  let cursor: string | undefined;
  for (;;) {
    const page = await store.list({ prefix, limit, ...(cursor === undefined ? {} : { cursor }) });
    expect(page.keys.length).toBeLessThanOrEqual(limit);
    names.push(...page.keys.map(({ name }) => name));
    if (page.list_complete) return names;
    ({ cursor } = page);
  }
}

describe("the store", () => {
  test("stores text and JSON, and sees writes and deletions at once", async () => {
    const key = `grant:${someone()}:g`;
    expect(await store.get(key)).toBeNull();
    await store.put(key, '{"a":1}');
    expect([await store.get(key), await store.get(key, { type: "json" }), await store.get(key, "json")]).toEqual([
      '{"a":1}',
      { a: 1 },
      { a: 1 },
    ]);
    for (let round = 0; round < 50; round += 1) {
      await store.put(key, String(round));
      expect(await store.get(key)).toBe(String(round));
    }
    await store.delete(key);
    expect([await store.get(key), (await store.list({ prefix: key })).keys]).toEqual([null, []]);
  });

  test("forgets what has expired", async () => {
    const user = someone();
    await store.put(`grant:${user}:soon`, "x", { expirationTtl: 300 });
    await store.put(`grant:${user}:past`, "x", { expiration: Math.floor(Date.now() / 1000) - 1 });
    await store.put(`grant:${user}:later`, "x", { expirationTtl: 600 });
    expect(await namesUnder(`grant:${user}:`, 10)).toEqual([`grant:${user}:later`, `grant:${user}:soon`]);
    const laterMs = Date.now() + 300_000;
    const clock = vi.spyOn(Date, "now").mockReturnValue(laterMs);
    try {
      expect(await store.get(`grant:${user}:soon`)).toBeNull();
      expect(await namesUnder(`grant:${user}:`, 10)).toEqual([`grant:${user}:later`]);
    } finally {
      clock.mockRestore();
    }
  });

  test("lists by prefix, in pages, with expiry and metadata, for one user or all", async () => {
    const [ada, bob] = [someone(), someone()];
    const keys = Array.from({ length: 25 }, (_, index) => `token:${ada}:g:${String(index).padStart(2, "0")}`);
    for (const key of keys) await store.put(key, "x", { metadata: { of: "ada" }, expirationTtl: 600 });
    await store.put(`token:${ada}:h:0`, "x");
    await store.put(`token:${bob}:g:0`, "x");
    expect(await namesUnder(`token:${ada}:g:`, 7)).toEqual(keys);
    expect(await namesUnder(`token:${ada}:`, 1_000)).toEqual([...keys, `token:${ada}:h:0`]);
    const everybodys = await namesUnder("token:", 10);
    expect(everybodys).toEqual(expect.arrayContaining([...keys, `token:${bob}:g:0`]));
    expect(new Set(everybodys).size).toBe(everybodys.length);
    const { keys: shown } = await store.list({ prefix: `token:${ada}:g:`, limit: 1 });
    expect(shown).toEqual([{ name: keys[0], metadata: { of: "ada" }, expiration: expect.any(Number) }]);
  });

  test("lists everything even if a page ends where one of its objects ends", async () => {
    const prefix = `client:${crypto.randomUUID()}-`;
    const keys = Array.from({ length: 20 }, (_, index) => `${prefix}${String(index).padStart(2, "0")}`);
    for (const key of keys) await store.put(key, "x");
    for (const limit of [1, 2, 3, 7, 20])
      expect((await namesUnder(prefix, limit)).toSorted(), `${limit}`).toEqual(keys);
  });

  test("spreads clients and users evenly, and keeps a user's grants and tokens together", () => {
    const counts = new Map<number, number>();
    for (let index = 0; index < 6_400; index += 1) {
      const shard = shardOf(`client:${crypto.randomUUID()}`);
      counts.set(shard, (counts.get(shard) ?? 0) + 1);
    }
    expect(counts.size).toBe(SHARDS);
    expect(Math.max(...counts.values())).toBeLessThan(200);
    expect(shardOf("grant:ada:1")).toBe(shardOf("token:ada:2:3"));
  });

  test("keeps nothing of a removed user, now or later, and everything of the others", async () => {
    const [ada, bob] = [someone(), someone()];
    for (const user of [ada, bob])
      for (const key of [`grant:${user}:g`, `token:${user}:g:t`]) await store.put(key, "x");
    await store.removeUser(ada);
    await store.removeUser(ada);
    expect([await store.get(`grant:${ada}:g`), await store.get(`token:${ada}:g:t`)]).toEqual([null, null]);
    await expect(store.put(`grant:${ada}:again`, "x")).rejects.toThrow("was removed");
    expect(await namesUnder(`grant:${ada}:`, 10)).toEqual([]);
    expect([await store.get(`grant:${bob}:g`), await store.get(`token:${bob}:g:t`)]).toEqual(["x", "x"]);
  });

  test("imports the content of a KV namespace, and keeps its own newer values", async () => {
    const user = someone();
    await store.put(`grant:${user}:known`, "newer");
    const entries = [
      { name: `grant:${user}:known`, value: "older" },
      { name: `grant:${user}:g`, value: '{"a":1}', metadata: { m: 1 }, expiration: 4_000_000_000 },
    ];
    const post = (body: unknown) =>
      new OAuthImport(createExecutionContext(), env).fetch(
        new Request("http://import/", { method: "POST", body: JSON.stringify(body) }),
      );
    expect(await (await post({ entries })).json()).toEqual({ moved: 1 });
    expect(await (await post({ entries })).json()).toEqual({ moved: 0 });
    expect((await post({})).status).toBe(400);
    expect((await store.list({ prefix: `grant:${user}:` })).keys).toEqual([
      { name: `grant:${user}:g`, expiration: 4_000_000_000, metadata: { m: 1 } },
      { name: `grant:${user}:known` },
    ]);
    expect(await store.get(`grant:${user}:known`)).toBe("newer");
  });
});

test("a revoked sign-in is refused at the next request", async () => {
  const person = await Visitor.invited();
  const client = await Client.registered();
  for (let round = 0; round < 5; round += 1) {
    const { access_token: accessToken, refresh_token: refreshToken } = await client.signIn(person);
    expect(await statusWith(accessToken)).toBe(200);
    const [user = "", grant = ""] = accessToken.split(":");
    await store.delete(`token:${user}:${grant}:${await hashed(accessToken)}`);
    expect(await statusWith(accessToken)).toBe(401);
    expect((await client.refresh(refreshToken)).status).toBe(200);
  }
});

async function hashed(text: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
