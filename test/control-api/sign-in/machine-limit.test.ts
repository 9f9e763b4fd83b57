import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { pageOf, somebody, textOf } from "../pages/support/person.ts";
import { env, TestUser } from "../support/operator.ts";
import { Client } from "./support/visitor.ts";

const SCOPE = { scope: "operator:admin operator:tokens mcp:tools" };

async function withMachines() {
  const one = await somebody();
  for (const name of ["attic", "cellar"]) {
    await one.user.machine(name);
    await one.user.logs(name, []);
  }
  return one;
}

async function namesSeen(app: TestUser): Promise<string[]> {
  const { structuredContent } = await app.tool("list_machines");
  const { machines } = structuredContent as { machines: { name: string }[] };
  return machines.map(({ name }) => name);
}

test("an app that is allowed on one machine only sees and reaches no other, and cannot change that", async () => {
  const one = await withMachines();
  const client = await Client.registered();
  const tokens = await client.signIn(one.browser, SCOPE, { machine: "attic" });
  expect(tokens.scope.split(" ")).not.toContain("operator:admin");
  expect(tokens.scope.split(" ")).not.toContain("operator:tokens");
  const app = new TestUser(one.user.id, tokens.access_token);
  expect(await namesSeen(app)).toEqual(["attic"]);
  const answer = await app.tool("get_machine", { machineId: "cellar" });
  expect([answer.isError, JSON.stringify(answer.structuredContent)]).toEqual([
    true,
    expect.stringContaining("machine_unknown"),
  ]);
  expect((await app.rest("POST", "/api/tokens", { label: "wider" })).status).toBe(403);
  expect((await app.register("garage")).status).toBe(403);
  // A new token of the same grant has the same limit.
  const renewed: { access_token: string } = await (await client.refresh(tokens.refresh_token)).json();
  expect(await namesSeen(new TestUser(one.user.id, renewed.access_token))).toEqual(["attic"]);
  expect(textOf(await pageOf(one, "/account"))).toContain("may use your machines on attic");
});

test("the limit stays with the computer: another one that takes over its name is not reached", async () => {
  const one = await withMachines();
  const { access_token: token } = await (await Client.registered()).signIn(one.browser, SCOPE, { machine: "attic" });
  const app = new TestUser(one.user.id, token);
  expect((await one.user.register("attic", { identity: "another computer", replace: true })).ok).toBe(true);
  expect(await namesSeen(app)).toEqual([]);
});

test("an app is not limited to a machine of which is not known which computer it is", async () => {
  const one = await withMachines();
  await runInDurableObject(env.USER.getByName(one.user.id), (_, { storage }) => {
    storage.sql.exec("UPDATE machine SET identity = '' WHERE name = 'attic'");
  });
  const signIn = (await Client.registered()).signIn(one.browser, SCOPE, { machine: "attic" });
  await expect(signIn).rejects.toThrow("no consent: 409");
});

test("an app that nothing was ticked for has all machines, also later ones", async () => {
  const one = await withMachines();
  const tokens = await (await Client.registered()).signIn(one.browser, SCOPE);
  await one.user.machine("garage");
  expect(await namesSeen(new TestUser(one.user.id, tokens.access_token))).toEqual(["attic", "cellar", "garage"]);
});
