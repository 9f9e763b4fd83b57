import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Account } from "../../../scripts/deploy/account.ts";
import { type Plan, planDeployment, planRemoval } from "../../../scripts/deploy/plan.ts";
import { readSettings, type Settings } from "../../../scripts/deploy/settings.ts";
import { FakeAccount, routesTo } from "./support/fake-account.ts";

const DOMAIN = "operator.example.com";
let fake: FakeAccount;

beforeEach(async () => {
  fake = await FakeAccount.start();
});
afterEach(() => fake[Symbol.asyncDispose]());

function settingsOf(...args: string[]): Settings {
  const env = { CLOUDFLARE_ACCOUNT_ID: "acc", CLOUDFLARE_API_TOKEN: "token", CLOUDFLARE_RUNTIME_TOKEN: "runtime" };
  const settings = readSettings(args.includes("--domain") ? args : ["--domain", DOMAIN, ...args], env);
  if (settings === null || typeof settings === "string") throw new Error(settings ?? "help");
  return { ...settings, ...fake.credentials };
}

function plan(settings = settingsOf(), hasSecrets = true): Promise<Plan> {
  return planDeployment(new Account(settings), settings, fake.deployer(settings.domain), hasSecrets);
}

async function deploy(settings = settingsOf()): Promise<void> {
  for (const { run } of (await plan(settings)).steps) await run();
}

const textsOf = ({ steps }: Plan): string[] => steps.map(({ text }) => text);

describe("a deployment", () => {
  test("to an empty account creates the namespace, then the dispatch Worker, then the control API, and changes nothing earlier", async () => {
    fake.subdomain = null;
    const { steps, warnings } = await plan();
    expect(fake.changes).toEqual([]);
    expect(steps.map(({ text }) => text)).toEqual([
      expect.stringContaining("register the account's name operator-example-com.workers.dev"),
      "create the dispatch namespace operator",
      "create the Worker operator-dispatch, without any address",
      "create the Worker operator, at operator.example.com/* and *.operator.example.com/*",
    ]);
    expect(warnings).toEqual([]);
    for (const { run } of steps) await run();
    expect(fake.changes).toEqual([
      "PUT /subdomain",
      "POST /dispatch/namespaces",
      "deploy operator-dispatch",
      "deploy operator",
    ]);
  });

  test("to an account with an Operator updates the two Workers and creates nothing twice", async () => {
    await deploy();
    expect(textsOf(await plan())).toEqual([
      "update the Worker operator-dispatch, without any address",
      "update the Worker operator, at operator.example.com/* and *.operator.example.com/*",
    ]);
  });

  test("that fails at any step continues there when it is repeated", async () => {
    for (let step = 1; step <= 4; step += 1) {
      await using account = await FakeAccount.start();
      fake = account;
      account.subdomain = null;
      account.failsAtChange = step;
      await expect(deploy()).rejects.toThrow();
      account.failsAtChange = Infinity;
      await deploy();
      expect([...account.workers.keys()]).toEqual(["operator-dispatch", "operator"]);
      expect(account.changes.filter((change) => change.startsWith("P"))).toHaveLength(2); // neither of them twice
    }
    fake = await FakeAccount.start();
  });

  test.each([
    ["a foreign Worker of our name", () => void fake.workers.set("operator", [{ type: "plain_text", name: "DOMAIN", text: DOMAIN }]), /not Operator's/], // prettier-ignore
    [
      "a foreign dispatch Worker",
      () => void fake.workers.set("operator-dispatch", []),
      /"operator-dispatch".*not Operator's/,
    ],
    ["a domain that is on no zone of the account", () => void (fake.zones = []), /No zone/],
    ["a route of ours that leads elsewhere", () => void (fake.routes = routesTo("shop", DOMAIN)), /leads to the Worker "shop"/], // prettier-ignore
    ["no Workers for Platforms", () => void (fake.isEntitled = false), /paid add-on/],
  ])("is refused for %s, and nothing is changed", async (_, arrange, why) => {
    arrange();
    await expect(plan()).rejects.toThrow(why);
    expect(fake.changes).toEqual([]);
  });

  test("to a second domain is refused, because it would take over the first", async () => {
    await deploy();
    const before = [...fake.changes];
    await expect(plan(settingsOf("--domain", "other.example.com"))).rejects.toThrow(
      /an Operator for operator.example.com/,
    );
    expect(fake.changes).toEqual(before);
  });

  test("to a whole zone needs its own flag", async () => {
    await expect(plan(settingsOf("--domain", "example.com"))).rejects.toThrow("--allow-apex");
    const { steps } = await plan(settingsOf("--domain", "example.com", "--allow-apex"));
    expect(steps.at(-1)?.text).toContain("example.com/* and *.example.com/*");
  });

  test("says that lost secrets are replaced, and that the public Worker gets the deploying token", async () => {
    await deploy();
    const settings = { ...settingsOf(), runtimeToken: null };
    expect((await plan(settings, false)).warnings).toEqual([
      expect.stringContaining("CLOUDFLARE_RUNTIME_TOKEN"),
      expect.stringContaining("new ones are made"),
    ]);
  });

  test("opens the dispatch Worker for gates only on request", async () => {
    const { steps } = await plan(settingsOf("--gate-host", "gates.example.com"));
    expect(steps.at(-2)?.text).toContain("at gates.example.com, for gates of your own");
  });
});

describe("a removal", () => {
  const removal = (settings = settingsOf("--destroy")): Promise<Plan> => planRemoval(new Account(settings), settings);

  test("deletes what was created: routes first, then Workers, scripts and the namespace", async () => {
    await deploy();
    fake.namespace?.set("attic", ["operator-machine"]).set("echo", ["operator-hosted"]);
    fake.routes.push({ id: "shop", pattern: "shop.example.com/*", script: "shop" });
    fake.workers.set("shop", []);
    const { steps, warnings } = await removal();
    expect(warnings).toEqual([]);
    for (const { run } of steps) await run();
    expect(fake.routes.map(({ script }) => script)).toEqual(["shop"]);
    expect([...fake.workers.keys()]).toEqual(["shop"]);
    expect(fake.namespace).toBeNull();
    expect(textsOf(await removal())).toEqual([]);
  });

  test("keeps a namespace that has other scripts, and says so", async () => {
    await deploy();
    fake.namespace?.set("attic", ["operator-machine"]).set("theirs", []);
    const { steps, warnings } = await removal();
    expect(warnings).toEqual([expect.stringContaining("theirs")]);
    for (const { run } of steps) await run();
    expect([...(fake.namespace?.keys() ?? [])]).toEqual(["theirs"]);
  });

  test("of another domain's Operator, or of an unrelated Worker, is refused", async () => {
    await deploy();
    await expect(removal(settingsOf("--destroy", "--domain", "other.example.com"))).rejects.toThrow(
      "nothing is removed",
    );
    fake.workers.set("operator", []);
    await expect(removal()).rejects.toThrow("not Operator's");
  });
});
