import { beforeAll, expect, test } from "vitest";
import type { Env } from "../../../control-api/src/env.ts";
import type { StoredEntry } from "../../../control-api/src/sign-in/oauth/store/store-rpc.ts";
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
const NO_REFRESH = { add: () => undefined, has: () => false, forget: () => undefined };

let person: Visitor;
beforeAll(async () => {
  person = await Visitor.invited();
});

test("a grant whose refresh token was used again is ended before its spent tokens are forgotten, in case that a restart comes between", async () => {
  const forgotten: string[] = [];
  const spent = { add: () => undefined, has: () => true, forget: (grant: string) => void forgotten.push(grant) };
  const redemptions = new Redemptions(env, spent, () => Promise.reject(new Error("restarted")));
  const client = await Client.registered();
  const refresh = { grant_type: "refresh_token", refresh_token: "u-nobody:g:used", client_id: client.id };
  const body = new URLSearchParams(refresh).toString();
  const asked = { grant: "g", audience: `${ORIGIN}/mcp`, authorization: null, body };
  await expect(redemptions.run(asked)).rejects.toThrow("restarted");
  expect(forgotten).toEqual([]);
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
