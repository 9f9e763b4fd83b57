// Root cause: a limit was looked at before something that takes time, such as a hash, and what it limits was stored after that. Of many requests at
// once, each was let pass by the same free place.
import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { MAX_KEYS } from "../../../control-api/src/enrolment/limits.ts";
import type { User } from "../../../control-api/src/user/user.ts";
import { MAX_TOKENS } from "../../../control-api/src/user/tokens.ts";
import { MAX_WEBHOOKS } from "../../../control-api/src/webhooks/limits.ts";
import { Receiver } from "../../control-api/support/receiver.ts";
import { env, knock, ORIGIN, TestUser } from "../../control-api/support/operator.ts";

const objectOf = (user: TestUser): DurableObjectStub<User> =>
  env.USER.getByName(user.id) as unknown as DurableObjectStub<User>;

test("a person has no more tokens than the limit", async () => {
  const user = new TestUser();
  await runInDurableObject(objectOf(user), (_, { storage: { sql } }) => {
    sql.exec(
      `WITH RECURSIVE number (n) AS (SELECT 1 UNION SELECT n + 1 FROM number WHERE n < ?)
       INSERT INTO access_token (id, hash, label, scopes, created_ms) SELECT 'token-' || n, 'hash-' || n, 'x', '[]', 0 FROM number`,
      MAX_TOKENS - 2,
    );
  });
  const limits = { scopes: ["mcp:tools"], machines: null, expiresMs: null, callsPerDay: null } as const;
  const answers = await runInDurableObject(objectOf(user), (object) =>
    Promise.all(Array.from({ length: 6 }, () => object.createToken("one more", limits, { credential: null }))),
  );
  expect(answers.filter((answer) => "token" in answer)).toHaveLength(2);
});

test("nor more enrolment keys", async () => {
  const user = new TestUser();
  const limits = { tag: "ci", reusable: true, expiresMs: Date.now() + 3_600_000, maxMachines: 1, policy: null };
  const answers = await runInDurableObject(objectOf(user), (object) =>
    Promise.all(Array.from({ length: MAX_KEYS + 4 }, () => object.createEnrolmentKey(limits, null))),
  );
  expect(answers.filter((answer) => "key" in answer)).toHaveLength(MAX_KEYS);
});

test("nor more webhooks", async () => {
  const user = new TestUser();
  const { url } = new Receiver();
  const answers = await Promise.all(
    Array.from({ length: MAX_WEBHOOKS + 4 }, () => user.rest("POST", "/api/webhooks", { url })),
  );
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(MAX_WEBHOOKS);
});

/** A key that may enrol one machine. */
async function keyOf(user: TestUser, tag = "ci"): Promise<string> {
  const { key }: { key: string } = await (await user.rest("POST", "/api/keys", { tag, ephemeral: true })).json();
  return key.replace(/@.*$/, "");
}

function enrol(key: string): Promise<Response> {
  const headers = { authorization: `Bearer ${key}` };
  const body = JSON.stringify({ identity: "identity-of-the-runner" });
  return knock(`${ORIGIN}/api/enrolments`, { method: "POST", headers, body });
}

async function names(user: TestUser): Promise<string[]> {
  return (await user.json<{ machines: { name: string }[] }>("/api/machines")).machines.map(({ name }) => name);
}

test("a key for one machine makes one, also if its computer enrols several times at once", async () => {
  const user = new TestUser();
  const key = await keyOf(user);
  const answers = await Promise.all([enrol(key), enrol(key), enrol(key)]);
  expect(answers.map(({ status }) => status)).toEqual([201, 201, 201]);
  expect(await names(user)).toEqual(["ci"]);
  expect((await user.json<{ keys: object[] }>("/api/keys")).keys).toMatchObject([{ used: 1, machines: ["ci"] }]);
});

test("and a computer that shows two keys at once is the machine of one of them", async () => {
  const user = new TestUser();
  const keys = [await keyOf(user), await keyOf(user, "nightly")];
  const answers = await Promise.all(keys.map(enrol));
  expect(answers.map(({ status }) => status).sort()).toEqual([201, 403]);
  expect(await names(user)).toHaveLength(1);
});
