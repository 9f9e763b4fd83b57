import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startMessagesApi } from "../peers/messages-api.ts";
import { obedient, TestMachine } from "../scripts/serve/support/machine.ts";
import { claudeClient } from "./support/claude-client.ts";
import { until } from "./support/eventually.ts";
import { joinOperator } from "./support/join-operator.ts";
import { TestOperator } from "./support/operator.ts";

const CLAIM_CODE = "CLAIM-CLAIM-CLAIM-CLAIM";

let operator: TestOperator;
/** A computer with the real Claude Code behind `codez serve`. Its person lets apps ask them in forms. */
let attic: TestMachine;

beforeAll(async () => {
  operator = await TestOperator.start({ CLAIM_CODE });
  attic = await TestMachine.start({ script: obedient, config: { respondPermission: true } });
  operator.own(attic);
  await joinOperator(operator, attic);

  const claimed = await visit("/claim", "", { code: CLAIM_CODE, name: "dana", password: "correct horse battery" });
  const cookie = claimed.headers
    .getSetCookie()
    .map((line) => line.split(";")[0])
    .join("; ");
  const page = await (await visit("/machines/attic", cookie)).text();
  const [csrf = "", machine = ""] = ["csrf", "machine"].map(
    (name) => new RegExp(`name="${name}" value="([^"]+)"`).exec(page)?.[1],
  );
  expect((await visit("/account/approvals/attic", cookie, { csrf, machine, ask: "yes" })).status).toBe(303);
});
afterAll(() => operator[Symbol.asyncDispose]());

function visit(path: string, cookie: string, form?: Record<string, string>): Promise<Response> {
  const headers = { cookie, "sec-fetch-site": "same-origin" };
  const init = form === undefined ? { headers } : { method: "POST", headers, body: new URLSearchParams(form) };
  return fetch(`${operator.url}${path}`, { ...init, redirect: "manual" });
}

/**
 * A person's own Claude Code, a client of `/mcp`, whose model sends a prompt to a session on the attic and tells what came back. `settings`:
 * its settings file.
 */
async function claude(name: string, session: string, text: string, settings: object): Promise<string> {
  const home = join(operator.folder, name);
  mkdirSync(join(home, ".claude"), { recursive: true });
  writeFileSync(join(home, ".claude", "settings.json"), JSON.stringify(settings));
  await using api = await startMessagesApi(({ results, tools }) => {
    const tool = tools.find((one) => one.endsWith("send_and_wait"));
    if (tool === undefined) return { blocks: [{ text: "no tools" }] };
    if (results.length > 0) return { blocks: [{ text: `It said: ${results[0]?.text}` }] };
    return { blocks: [{ tool, input: { session_id: session, text, timeout_ms: 60_000 } }] };
  });
  const added = await claudeClient(
    home,
    api.url,
    "mcp",
    "add",
    "--transport",
    "http",
    "operator",
    operator.mcpUrl.href,
  );
  expect(added.code, added.stderr).toBe(0);
  const args = ["-p", "tell the attic", "--allowedTools", "mcp__operator__send_and_wait", "--output-format", "json"];
  const { stdout } = await claudeClient(home, api.url, ...args);
  return (JSON.parse(stdout) as { result: string }).result;
}

async function waiting(): Promise<number> {
  const { body } = await operator.api("GET", "/api/inbox");
  return (body as { pending: unknown[] }).pending.length;
}

test("Claude Code shows its person what a session on a machine asks, and the session goes on with the answer", async () => {
  await using made = await attic.connect();
  const session = await made.create(attic.repo("repo"), { prompt: "hello" });
  // In print mode nobody is at the screen. A hook of Claude Code answers in place of the person, and keeps what was shown.
  const shown = join(operator.folder, "shown.json");
  const answer = join(operator.folder, "answer.mjs");
  writeFileSync(
    answer,
    `import { readFileSync, writeFileSync } from "node:fs";
     writeFileSync(${JSON.stringify(shown)}, readFileSync(0));
     console.log(JSON.stringify({ hookSpecificOutput: { hookEventName: "Elicitation", action: "accept", content: { decision: "allow" } } }));`,
  );
  const command = `"${process.execPath}" "${answer}"`;
  const settings = { hooks: { Elicitation: [{ hooks: [{ type: "command", command }] }] } };
  const said = await claude("answers", `attic/${session}`, "bash touch allowed-in-a-form.txt", settings);
  expect(said).toContain('"status":"done"');
  expect(existsSync(join(attic.repo("repo"), "allowed-in-a-form.txt"))).toBe(true);
  expect(JSON.parse(readFileSync(shown, "utf8"))).toMatchObject({
    mcp_server_name: "operator",
    message: expect.stringContaining("touch allowed-in-a-form.txt"),
  });
  const { body } = await operator.api("GET", "/api/inbox?state=settled");
  expect(body).toMatchObject({
    pending: [{ settled: { behavior: "allow", by: expect.stringContaining("asked in") } }],
  });
});

test("Claude Code declines a form when nobody is at the screen: nothing is decided, and the model is told where to answer", async () => {
  await using made = await attic.connect();
  const session = await made.create(attic.repo("repo"), { prompt: "hello" });
  const said = await claude("declines", `attic/${session}`, "bash touch declined-in-a-form.txt", {});
  expect(said).toContain('"status":"waiting"');
  expect(said).toContain("The form was closed or declined.");
  expect(said).toContain("/inbox");
  expect(existsSync(join(attic.repo("repo"), "declined-in-a-form.txt"))).toBe(false);
  await until("the request in the inbox", async () => (await waiting()) === 1);
});
