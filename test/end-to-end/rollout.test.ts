import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { RolloutAnswer } from "#protocol/rollout.ts";
import { type Breakage, BreakingApi } from "./support/breaking-api.ts";
import { client } from "./support/clients.ts";
import { Everything } from "./support/everything.ts";
import { until } from "./support/eventually.ts";
import { replaceScript } from "./support/killable-machine.ts";
import { Machine } from "./support/machine.ts";
import { TestOperator } from "./support/operator.ts";
import { type Ran, run } from "./support/run.ts";

const OPERATOR = fileURLToPath(new URL("../../scripts/operator/bin.js", import.meta.url));

let api: BreakingApi;
let operator: TestOperator;
let attic: Machine;
let barn: Machine;

beforeAll(async () => {
  api = await BreakingApi.start();
  operator = await TestOperator.start({ CLOUDFLARE_API_URL: api.url });
  operator.own(api);
  api.target = operator.platform.platformUrl;
  const everything = await Everything.start();
  operator.own(everything);
  attic = await Machine.add(operator, "attic", everything.url);
  barn = await Machine.add(operator, "barn", everything.url);
  // From now on machines get other templates by rollouts alone: these two have one of an earlier release.
  expect((await rollout("mode", "manual")).code).toBe(0);
  for (const { registration } of [attic, barn]) await replaceScript(operator, registration.slug, "earlier");
  await until("both have the earlier template", async () => {
    const templates = [(await attic.detail()).state?.template, (await barn.detail()).state?.template];
    return templates.every((one) => one === "earlier") && (await attic.detail()).state?.online === true;
  });
});

afterAll(() => operator[Symbol.asyncDispose]());

/** `operator rollout ...`, as a person runs it. */
async function rollout(...args: string[]): Promise<Ran> {
  const env = { OPERATOR_URL: operator.url, OPERATOR_TOKEN: await operator.token(), CODEZ_HOME: operator.folder };
  return run(process.execPath, [OPERATOR, "rollout", ...args], { env });
}

async function status(): Promise<RolloutAnswer> {
  return RolloutAnswer.parse((await operator.api("GET", "/api/rollout")).body);
}

async function works(name: string): Promise<void> {
  await using made = await client(operator.mcpUrl, "2026-07-28");
  const call = { machineId: name, name: "echo", arguments: { message: "hello" } };
  const { content } = await made.callTool({ name: "call_tool", arguments: call });
  expect(JSON.stringify(content)).toContain("hello");
}

// Where another fault than the absent link is expected, the link has more time to come back than a busy computer needs for it.
test.each<[string, string, Breakage, RegExp]>([
  ["throws at its start", "8s", { first: 'throw new Error("broken on purpose");' }, /broken on purpose/],
  [
    "refuses the link",
    "3s",
    { answers: 'if (pathname === "/link") return new Response("no", { status: 500 });' },
    /link did not come back/,
  ],
  [
    "answers calls wrongly",
    "8s",
    { answers: 'if (pathname === "/operator/call") return Response.json({ jsonrpc: "2.0", id: 0, result: null });' },
    /MCP server answered calls before/,
  ],
])("a template that %s goes back by itself, and never reaches the other machine", async (_, watch, how, why) => {
  const { body } = await operator.api("GET", "/api/me");
  const { version } = z.object({ version: z.string() }).parse(body);
  api.breaks = { template: version, how };
  const started = await rollout("start", "--canary", "attic", "--watch", watch);
  expect([started.code, started.stdout]).toEqual([0, expect.stringContaining("the canaries are first")]);
  await until("the way back", async () => (await status()).rollout?.state === "back");
  const { stdout } = await rollout("status");
  expect(stdout).toMatch(why);
  expect(stdout).toContain("barn waits for its turn");
  await until("attic is itself again", async () => {
    const { state } = await attic.detail();
    return state?.template === "earlier" && state.online;
  });
  for (const name of ["attic", "barn"]) await works(name);
  expect((await barn.detail()).state?.template).toBe("earlier");
});

test("a template that is in order reaches the canary, and then the other machine", async () => {
  api.breaks = null;
  expect((await rollout("start", "--share", "50%", "--watch", "5s")).code).toBe(0);
  await until("its end", async () => (await status()).rollout?.state === "done");
  expect((await rollout("status")).stdout).toMatch(/2 healthy/);
  for (const name of ["attic", "barn"]) await works(name);
});
