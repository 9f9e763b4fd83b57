import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Account } from "../../../scripts/deploy/account.ts";
import { type Plan, planDeployment } from "../../../scripts/deploy/plan.ts";
import { planRemoval } from "../../../scripts/deploy/removal.ts";
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
  return planDeployment(new Account(settings), settings, fake.deployer(settings.domain, settings.name), hasSecrets);
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
      expect(account.workers.keys()).toEqual(["operator-dispatch", "operator"]);
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
    [
      "a namespace of our name with foreign scripts",
      () => void fake.namespaces.set("operator", new Map([["shop", []]])),
      /namespace "operator".*\(shop\).*--name operator-2/,
    ],
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
      /is the Operator for operator\.example\.com\..*--name operator-2/,
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

  test("says which DNS records are missing, without which nothing would reach it", async () => {
    fake.dns = { [DOMAIN]: "192.0.2.1" };
    const { warnings } = await plan();
    expect(warnings).toEqual([expect.stringContaining(`no DNS record for *.${DOMAIN}, so`)]);
  });

  test("with another name stands beside a foreign Worker, and beside another Operator", async () => {
    fake.workers.set("operator", []);
    await deploy(settingsOf("--name", "one"));
    await deploy(settingsOf("--name", "two", "--domain", "two.example.com"));
    expect(fake.workers.keys()).toEqual(["operator", "one-dispatch", "one", "two-dispatch", "two"]);
    expect([...fake.namespaces.keys()]).toEqual(["one", "two"]);
    // Its domain still leads to it, so a deployment without the name must not become a second one.
    await expect(plan()).rejects.toThrow('Worker "operator" that is not');
    fake.workers.delete("operator");
    await expect(plan()).rejects.toThrow("add --name one");
  });

  test("opens the dispatch Worker for gates only on request, and closes it again", async () => {
    const withGate = settingsOf("--gate-host", "gates.example.com");
    expect((await plan(withGate)).steps.at(-2)?.text).toContain("at gates.example.com, for gates of your own");
    await deploy();
    fake.hosts.push({ id: "h1", hostname: "gates.example.com", service: "operator-dispatch" });
    await deploy(withGate);
    expect(fake.hosts).toHaveLength(1);
    expect(textsOf(await plan()).at(-1)).toContain(
      "remove the host gates.example.com from the Worker operator-dispatch",
    );
    await deploy();
    expect(fake.hosts).toEqual([]);
  });

  test("takes no host from another Worker, and replaces no DNS record", async () => {
    const withGate = settingsOf("--gate-host", "gates.example.com");
    fake.hosts.push({ id: "h1", hostname: "gates.example.com", service: "shop" });
    await expect(plan(withGate)).rejects.toThrow('gates.example.com belongs to the Worker "shop"');
    fake.hosts = [];
    fake.dns = { "gates.example.com": "192.0.2.7" };
    await expect(plan(withGate)).rejects.toThrow("gates.example.com has a DNS record (A 192.0.2.7)");
    fake.dns = null;
    expect((await plan(withGate)).warnings).toEqual([expect.stringContaining("may not read DNS records")]);
    expect(fake.changes).toEqual([]);
  });
});

describe("a removal", () => {
  const removal = (settings = settingsOf("--destroy")): Promise<Plan> => planRemoval(new Account(settings), settings);

  test("deletes what was created: routes first, then Workers, scripts and the namespace", async () => {
    await deploy();
    fake.namespaces.get("operator")?.set("attic", ["operator-machine"]).set("echo", ["operator-hosted"]);
    fake.routes.push({ id: "shop", pattern: "shop.example.com/*", script: "shop" });
    fake.hosts.push({ id: "h1", hostname: "gates.example.com", service: "operator-dispatch" });
    fake.hosts.push({ id: "h2", hostname: "shop.example.com", service: "shop" });
    fake.workers.set("shop", []);
    const { steps, warnings } = await removal();
    expect(warnings).toEqual([]);
    for (const { run } of steps) await run();
    expect(fake.routes.map(({ script }) => script)).toEqual(["shop"]);
    expect(fake.hosts.map(({ service }) => service)).toEqual(["shop"]);
    expect(fake.workers.keys()).toEqual(["shop"]);
    expect(fake.namespaces.size).toBe(0);
    expect(textsOf(await removal())).toEqual([]);
  });

  test("keeps a namespace that has other scripts, and says so", async () => {
    await deploy();
    fake.namespaces.get("operator")?.set("attic", ["operator-machine"]).set("theirs", []);
    const { steps, warnings } = await removal();
    expect(warnings).toEqual([expect.stringContaining("theirs")]);
    for (const { run } of steps) await run();
    expect([...(fake.namespaces.get("operator")?.keys() ?? [])]).toEqual(["theirs"]);
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
