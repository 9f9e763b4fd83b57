import { runInDurableObject } from "cloudflare:test";
import { beforeAll, expect, test } from "vitest";
import type { Env } from "../../../control-api/src/env.ts";
import type { StoredEntry } from "../../../control-api/src/sign-in/oauth/store/store-rpc.ts";
import type { User } from "../../../control-api/src/user/user.ts";
import { Redemptions } from "../../../control-api/src/sign-in/oauth/redemptions.ts";
import { env, ORIGIN } from "../support/operator.ts";
import { Client, Visitor } from "./support/visitor.ts";

/** The store when it is slow to write: what is written is there a while later. */
const far = {
  getByName: (shard: string) => {
    const stub = env.OAUTH_STORE.getByName(shard);
    return new Proxy(stub, {
      get: (target, name: string) =>
        name === "write"
          ? async (entry: StoredEntry) => {
              await scheduler.wait(100);
              await target.write(entry);
            }
          : (...args: unknown[]) =>
              (target as unknown as Record<string, (...all: unknown[]) => unknown>)[name]?.(...args),
    });
  },
} as unknown as Env["OAUTH_STORE"];

/** Codes alone are redeemed here. */
const NO_REFRESH = { add: () => undefined, has: () => false };

let person: Visitor;
beforeAll(async () => {
  person = await Visitor.invited();
});

test("the spent tokens of a grant are deleted with it, and not before, in case that a restart comes between", async () => {
  const object = env.USER.getByName(`u-${crypto.randomUUID()}`) as unknown as DurableObjectStub<User>;
  await runInDurableObject(object, async (instance, { storage: { sql } }) => {
    const count = (): unknown => sql.exec("SELECT count(*) AS count FROM spent_refresh_token").one()["count"];
    sql.exec("INSERT INTO spent_refresh_token (hash, grant_id) VALUES ('used', 'g')");
    const bindings = instance as unknown as { env: Env };
    const { env: real } = bindings;
    const restarted = () => {
      throw new Error("restarted");
    };
    bindings.env = { ...real, OAUTH_STORE: { getByName: restarted } as unknown as Env["OAUTH_STORE"] };
    await expect(instance.endGrant("g")).rejects.toThrow("restarted");
    expect(count()).toBe(1);
    bindings.env = real;
    await instance.endGrant("g");
    expect(count()).toBe(0);
  });
});

test("a code can be redeemed once, however slowly the store learns of it", async () => {
  const client = await Client.registered();
  const code = (await client.consent(person)).searchParams.get("code") ?? "";
  const [, grant = ""] = code.split(":");
  const form = { grant_type: "authorization_code", code, client_id: client.id, redirect_uri: client.redirectUri };
  const body = new URLSearchParams({ ...form, code_verifier: Client.verifier }).toString();
  const redemptions = new Redemptions({ ...env, OAUTH_STORE: far }, NO_REFRESH, () => Promise.resolve());
  const asked = { grant, audience: `${ORIGIN}/mcp`, authorization: null, body };
  const answers = await Promise.all(Array.from({ length: 5 }, () => redemptions.run(asked)));
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
});
