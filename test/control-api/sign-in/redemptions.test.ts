import { beforeAll, expect, test } from "vitest";
import { Redemptions } from "../../../control-api/src/sign-in/oauth/redemptions.ts";
import { env, ORIGIN } from "../support/operator.ts";
import { Client, Visitor } from "./support/visitor.ts";

/** KV as it is far away: what is written is there a while later. */
const far = new Proxy(env.OAUTH_KV, {
  get:
    (kv, name: keyof KVNamespace) =>
    async (...args: unknown[]) => {
      if (name === "put") await scheduler.wait(100);
      return (kv[name] as (...all: unknown[]) => unknown)(...args);
    },
});

let person: Visitor;
beforeAll(async () => {
  person = await Visitor.invited();
});

test("one code is redeemed once, however slow KV is to know of it", async () => {
  const client = await Client.registered();
  const code = (await client.consent(person)).searchParams.get("code") ?? "";
  const [, grant = ""] = code.split(":");
  const form = { grant_type: "authorization_code", code, client_id: client.id, redirect_uri: client.redirectUri };
  const body = new URLSearchParams({ ...form, code_verifier: Client.verifier }).toString();
  const redemptions = new Redemptions({ ...env, OAUTH_KV: far });
  const asked = { grant, audience: `${ORIGIN}/mcp`, authorization: null, body };
  const answers = await Promise.all(Array.from({ length: 5 }, () => redemptions.run(asked)));
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
});
