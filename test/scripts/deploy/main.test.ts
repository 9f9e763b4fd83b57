import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Ran, run } from "../../end-to-end/support/run.ts";
import { FakeAccount } from "./support/fake-account.ts";

const MAIN = fileURLToPath(new URL("../../../scripts/deploy/main.ts", import.meta.url));
const DOMAIN = "operator.example.com";
let fake: FakeAccount;

beforeEach(async () => {
  fake = await FakeAccount.start();
});
afterEach(() => fake[Symbol.asyncDispose]());

/** `npm run deploy -- ...` as a person runs it, without a terminal. */
function deploy(...args: string[]): Promise<Ran> {
  const { accountId, apiToken, apiUrl } = fake.credentials;
  return run(process.execPath, [MAIN, ...args], {
    env: { CLOUDFLARE_ACCOUNT_ID: accountId, CLOUDFLARE_API_TOKEN: apiToken, CLOUDFLARE_API_URL: apiUrl },
  });
}

test("a deployment shows its plan, and changes nothing until a person agrees", async () => {
  const { code, stdout } = await deploy("--domain", DOMAIN);
  expect(stdout).toContain("  - create the dispatch namespace operator\n");
  expect(stdout).toContain(`at ${DOMAIN}/* and *.${DOMAIN}/*`);
  expect(stdout).toContain("Note: The public Worker will hold CLOUDFLARE_API_TOKEN");
  expect(stdout).toContain("Run it again with --yes to agree.\nNothing was changed.\n");
  expect([code, fake.changes]).toEqual([1, []]);
});

test("a refusal says what to do, and exits with 1", async () => {
  fake.workers.set("operator", []);
  const { code, stderr } = await deploy("--domain", DOMAIN, "--yes");
  expect([code, stderr]).toEqual([1, expect.stringContaining('a Worker "operator" that is not Operator\'s')]);
  expect(fake.changes).toEqual([]);
});

test("a confirmed removal leaves nothing of Operator's, and a second one finds nothing to do", async () => {
  fake.namespaces.set("operator", new Map([["attic", ["operator-machine", "template-1"]]]));
  await fake.deployer(DOMAIN).dispatch();
  await fake.deployer(DOMAIN).control();
  const { code, stdout } = await deploy("--domain", DOMAIN, "--destroy", "--yes");
  expect([code, stdout]).toEqual([0, expect.stringContaining(`Operator is removed from ${DOMAIN}`)]);
  expect([fake.workers.keys(), fake.routes.length, fake.namespaces.size]).toEqual([[], 0, 0]);
  expect((await deploy("--domain", DOMAIN, "--destroy", "--yes")).stdout).toBe("There is nothing to do.\n");
});

test("a removal that fails in the middle says where it stopped, and continues when it is repeated", async () => {
  await fake.deployer(DOMAIN).dispatch();
  await fake.deployer(DOMAIN).control();
  fake.failsAtChange = fake.changes.length + 2;
  const { code, stderr } = await deploy("--domain", DOMAIN, "--destroy", "--yes");
  expect([code, stderr]).toEqual([1, expect.stringMatching(/It stopped at: .*Run the same command again/s)]);
  fake.failsAtChange = Infinity;
  expect((await deploy("--domain", DOMAIN, "--destroy", "--yes")).code).toBe(0);
  expect([fake.workers.keys(), fake.routes.length]).toEqual([[], 0]);
});

test("a mistake is answered with the help", async () => {
  const { code, stderr } = await deploy();
  expect([code, stderr]).toEqual([2, expect.stringContaining("--domain is missing")]);
  expect(stderr).toContain("--destroy");
});
