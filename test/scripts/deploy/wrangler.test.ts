import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ScriptUpdateParams } from "cloudflare/resources/workers/scripts/scripts";
import { afterEach, beforeEach, expect, expectTypeOf, test } from "vitest";
import type * as z from "zod";
import { CONTROL_BUILD } from "../../../scripts/build/repository.ts";
import { readSecrets } from "../../../scripts/deploy/secrets.ts";
import { type Ran, run } from "../../end-to-end/support/run.ts";
import type { AccountBinding, AccountMetadata } from "./support/account-workers.ts";
import { FakeAccount } from "./support/fake-account.ts";

const MAIN = fileURLToPath(new URL("../../../scripts/deploy/main.ts", import.meta.url));
const DOMAIN = "operator.example.com";
/** A deployment takes 6 s, of which wrangler needs most to bundle; ten times that on a computer with other work. */
const LIMIT_MS = 180_000;
let fake: FakeAccount;
let folder: string;

beforeEach(async () => {
  fake = await FakeAccount.start();
  folder = await mkdtemp(join(tmpdir(), "operator-wrangler-"));
});
afterEach(async () => {
  await fake[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** `npm run deploy -- --domain ... --yes` with the real wrangler. */
function deploy(...args: string[]): Promise<Ran> {
  const { accountId, apiToken, apiUrl } = fake.credentials;
  return run(process.execPath, [MAIN, "--domain", DOMAIN, "--yes", ...args], {
    env: {
      CLOUDFLARE_ACCOUNT_ID: accountId,
      CLOUDFLARE_API_TOKEN: apiToken,
      CLOUDFLARE_RUNTIME_TOKEN: "runtime",
      CLOUDFLARE_API_URL: apiUrl,
      OPERATOR_STATE: folder,
      WRANGLER_WRITE_LOGS: "false",
      // Where wrangler would look for newer versions of itself: nobody listens there.
      npm_config_registry: "http://127.0.0.1:9/",
    },
  });
}

const secretsFile = (): string => join(folder, `deploy/${DOMAIN}.json`);
const valueOf = (binding: AccountBinding) => [binding.name, binding.type, ...Object.values(binding).slice(2)];

test(
  "wrangler's uploads of both Workers are what the API takes, beside a foreign Worker and with rights on one zone alone",
  { timeout: LIMIT_MS },
  async () => {
    fake.subdomain = null;
    fake.hasOneZone = true;
    fake.workers.set("operator", []);
    const { code, stdout, stderr } = await deploy("--name", "second", "--gate-host", "gates.example.com");
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain(`Operator is at https://${DOMAIN}.`);

    const { DISPATCH_SECRET, REPORT_SECRET, CLAIM_CODE } = await readSecrets(secretsFile(), false);
    const dispatch = fake.workers.get("second-dispatch");
    expect(dispatch?.bindings.map(valueOf).toSorted()).toEqual([
      ["DISPATCH", "dispatch_namespace", "second"],
      ["DISPATCH_SECRET", "secret_text", DISPATCH_SECRET],
      ["DISPATCH_SECRET_PREVIOUS", "secret_text", DISPATCH_SECRET],
      ["DOMAIN", "plain_text", DOMAIN],
    ]);
    const control = fake.workers.get("second");
    expect(control?.bindings.map(valueOf).toSorted()).toEqual([
      ["ACCOUNTS", "durable_object_namespace", "Accounts"],
      ["CLAIM_CODE", "secret_text", CLAIM_CODE],
      ["CLOUDFLARE_ACCOUNT_ID", "plain_text", "acc"],
      ["CLOUDFLARE_API_TOKEN", "secret_text", "runtime"],
      ["CLOUDFLARE_API_URL", "plain_text", fake.credentials.apiUrl],
      ["DISPATCHER", "service", "second-dispatch"],
      ["DISPATCH_NAMESPACE", "plain_text", "second"],
      ["DISPATCH_SECRET", "secret_text", DISPATCH_SECRET],
      ["DOMAIN", "plain_text", DOMAIN],
      ["OAUTH_STORE", "durable_object_namespace", "OAuthStore"],
      ["ORIGIN", "plain_text", `https://${DOMAIN}`],
      ["REPORT_SECRET", "secret_text", REPORT_SECRET],
      ["SERVICE", "plain_text", "second"],
      ["USER", "durable_object_namespace", "User"],
      ["WEBHOOKS", "durable_object_namespace", "Webhooks"],
    ]);
    expect(control).toMatchObject({ migrationTag: "v3", observability: { enabled: true } });
    expect(Object.entries(control?.classes ?? {}).map(([name, { sqlite }]) => [name, sqlite])).toEqual([
      ["User", true],
      ["Accounts", true],
      ["OAuthStore", true],
      ["Webhooks", true],
    ]);
    for (const worker of [dispatch, control])
      expect(worker).toMatchObject({ isOnWorkersDev: false, hasPreviews: false, observability: { enabled: true } });
    const embedded = control?.modules.find(({ name }) => name.endsWith("machine.js.txt"));
    expect(Buffer.from(embedded?.contents ?? []).equals(await readFile(join(CONTROL_BUILD, "machine.js.txt")))).toBe(
      true,
    );
    expect(fake.routes.map(({ pattern, script }) => [pattern, script])).toEqual([
      [`${DOMAIN}/*`, "second"],
      [`*.${DOMAIN}/*`, "second"],
    ]);
    expect(fake.hosts).toMatchObject([{ hostname: "gates.example.com", service: "second-dispatch" }]);
    expect(fake.workers.get("operator")).toMatchObject({ bindings: [], modules: [] });
  },
);

/** Where a deployment stops that has uploaded the dispatch Worker and not the control API, and what fails there. */
const HALF_WAY = {
  "in the first step": {
    failsAt: "/scripts/operator-dispatch/subdomain",
    said: "update the Worker operator-dispatch, ",
  },
  // Wrangler asks the account only when it has bundled the control API, which takes most of a deployment.
  "in the second step": { failsAt: "/services/operator", said: "update the Worker operator, at" },
} as const;

/** An account with both Workers, and the secrets of the dispatch Worker after a deployment that stops half-way. */
async function deployHalf(
  where: keyof typeof HALF_WAY,
  ...args: string[]
): Promise<Record<string, string | undefined>> {
  const { failsAt, said } = HALF_WAY[where];
  fake.failsAt = failsAt;
  const before = fake.workers.get("operator-dispatch");
  const { code, stderr } = await deploy(...args);
  expect([code, stderr]).toEqual([1, expect.stringContaining(`It stopped at: ${said}`)]);
  expect(fake.workers.get("operator-dispatch")).not.toBe(before);
  const textOf = (name: string) => fake.workers.textOf("operator-dispatch", name);
  return { current: textOf("DISPATCH_SECRET"), previous: textOf("DISPATCH_SECRET_PREVIOUS") };
}

test(
  "a rotation that stops between the two Workers is continued with the same secrets",
  { timeout: LIMIT_MS },
  async () => {
    await fake.deployer(DOMAIN).dispatch();
    await fake.deployer(DOMAIN).control();
    const { DISPATCH_SECRET: former } = await readSecrets(secretsFile(), false);
    const first = await deployHalf("in the second step", "--rotate-secret");
    expect(first.previous).toBe(former);
    expect(await deployHalf("in the first step", "--rotate-secret")).toEqual(first);
  },
);

test("secrets that are made because the file is lost leave no former one valid", { timeout: LIMIT_MS }, async () => {
  await fake.deployer(DOMAIN).dispatch();
  await fake.deployer(DOMAIN).control();
  // Wrangler keeps the secrets that it is not given.
  const before = fake.workers.get("operator-dispatch")?.bindings ?? [];
  const old = ["DISPATCH_SECRET", "DISPATCH_SECRET_PREVIOUS"].map(
    (name) => ({ type: "secret_text", name, text: name }) as const,
  );
  fake.workers.set("operator-dispatch", [...before, ...old]);
  const made = await deployHalf("in the first step");
  const { DISPATCH_SECRET } = await readSecrets(secretsFile(), false);
  expect(made).toEqual({ current: DISPATCH_SECRET, previous: DISPATCH_SECRET });
});

test("the stand-in's metadata and bindings have only fields of Cloudflare's schema", () => {
  // The SDK's types are generated from Cloudflare's own OpenAPI schema, so this comparison runs in the type check.
  type Official = ScriptUpdateParams.Metadata;
  type OfficialBinding = NonNullable<Official["bindings"]>[number];
  type Kinds = AccountBinding["type"];
  type Theirs<Kind> = keyof Extract<OfficialBinding, { type: Kind }>;
  type Foreign<Kind> = Exclude<keyof Extract<AccountBinding, { type: Kind }>, Theirs<Kind>>;
  type AllForeign = { [Kind in Kinds]: Foreign<Kind> }[Kinds];
  expectTypeOf<Exclude<keyof z.infer<typeof AccountMetadata>, keyof Official>>().toEqualTypeOf<never>();
  expectTypeOf<AllForeign>().toEqualTypeOf<never>();
});
