// Root cause: the policy was asked when a prompt arrived, and never again. What waited in a queue, and what was running, went on under
// a policy that its owner had replaced.
import { randomUUID } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { peerBin } from "../../peers/bin.ts";
import type { Script } from "../../peers/messages-api.ts";
import { type Answer, TestMachine, type TestClient, until } from "../../scripts/serve/support/machine.ts";

let machine: TestMachine;
let client: TestClient;
let release: () => void = () => undefined;
let released: Promise<void>;

/** "hold" is at work until the test lets it go, and then makes a file. */
const script: Script = async ({ prompt, results, signal }) => {
  if (!prompt.startsWith("hold")) return { blocks: [{ text: "ok" }] };
  await Promise.race([released, new Promise((done) => signal.addEventListener("abort", done))]);
  if (results.length > 0) return { blocks: [{ text: "done" }] };
  return { blocks: [{ tool: "Bash", input: { command: "touch made", description: "x" } }] };
};

beforeAll(async () => {
  machine = await TestMachine.start({ script, repos: ["repo", "other"], config: FREE });
  client = await machine.connect();
});
afterAll(async () => {
  release();
  await client[Symbol.asyncDispose]();
  await machine[Symbol.asyncDispose]();
});
beforeEach(() => {
  ({ promise: released, resolve: release } = Promise.withResolvers<void>());
  machine.configure(FREE);
});

const FREE = { maxPermissionMode: "bypassPermissions", commands: ["cost"], trust: ["~/src"] };

const wasAsked = (text: string) => machine.api.asked.some(({ prompt }) => prompt === text);

/** A session that is in the middle of a turn, with prompts waiting behind it, and where its events begin. */
async function busy(...waiting: string[]): Promise<{ session: string; cursor: string }> {
  const hold = `hold ${randomUUID()}`;
  const session = await client.create(machine.repo("repo"), { permission_mode: "acceptEdits" });
  const cursor = await client.now();
  for (const text of [hold, ...waiting]) await client.call("send_prompt", { session_id: session, text });
  await until("the turn runs", () => (wasAsked(hold) ? true : undefined));
  return { session, cursor };
}

const isEnd = (session: string) => (event: Answer) =>
  event["session_id"] === session && event["type"] === "session.updated" && event["status"] === "idle";

const NARROWER: [string, Answer][] = [
  ["nothing but reading", { ...FREE, readOnly: true }],
  ["other folders", { ...FREE, drive: ["~/src/other"] }],
  ["a lower mode", { ...FREE, maxPermissionMode: "default" }],
  ["no settings of its folder", { ...FREE, trust: [] }],
];

test.each(NARROWER)(
  "a policy that now allows %s ends the turns that it forbids, and drops the prompts behind them",
  async (what, config) => {
    const later = `later, ${what}`;
    const { session, cursor } = await busy(later);
    machine.configure(config);
    const events = await client.eventsUntil(isEnd(session), cursor, session);
    const told = events.filter(({ type }) => type === "session.error").map(({ message }) => String(message));
    expect(told.join()).toContain("serve.json");
    release();
    await sleep(500); // a turn that went on would have made its file, and begun the next one
    expect([existsSync(join(machine.repo("repo"), "made")), wasAsked(later)]).toEqual([false, false]);
  },
);

test.each(NARROWER)(
  "a policy that allows only %s since an agent started counts for its session",
  async (what, config) => {
    // Claude Code takes longer to start than serve to look at the policy.
    const slow = join(machine.home, "slow-claude");
    const started = join(machine.home, `started, ${what}`);
    writeFileSync(slow, `#!/bin/sh\ntouch '${started}'\nsleep 3\nexec '${peerBin("claude")}' "$@"\n`, { mode: 0o700 });
    machine.configure({ ...FREE, claude: slow });
    const cursor = await client.now();
    const creation = client.create(machine.repo("repo"), { permission_mode: "acceptEdits", prompt: `hold ${what}` });
    await until("the agent starts", () => existsSync(started) || undefined);
    machine.configure({ claude: slow, ...config });
    const session = await creation;
    await client.eventsUntil(isEnd(session), cursor, session);
    release();
    await sleep(500); // a turn that went on would have made its file
    expect(existsSync(join(machine.repo("repo"), "made"))).toBe(false);
  },
);

test("a folder that is no longer trusted after the file was invalid ends its session", async () => {
  const { session, cursor } = await busy();
  writeFileSync(join(machine.home, ".codez", "serve.json"), '{ "trust": [');
  await sleep(2_500); // twice as long as serve takes to notice
  machine.configure({ ...FREE, trust: [] });
  const events = await client.eventsUntil(isEnd(session), cursor, session);
  expect(JSON.stringify(events)).toContain("no longer listed in trust");
});

test("a waiting command is dropped when it is no longer listed, and the next prompt is sent", async () => {
  const { session, cursor } = await busy("/cost", "after the command");
  machine.configure({ ...FREE, commands: [] });
  await client.eventsUntil(({ type, message }) => type === "session.error" && String(message).includes("/cost"), cursor, session); // prettier-ignore
  release();
  await until("the last one is asked", () => (wasAsked("after the command") ? true : undefined));
});

test("an invalid file starts no more turns, and interrupts none", async () => {
  const { session, cursor } = await busy("after the slip");
  writeFileSync(join(machine.home, ".codez", "serve.json"), '{ "readOnly": tru');
  await client.eventsUntil(({ type }) => type === "session.error", cursor, session);
  release();
  await client.eventsUntil(({ type }) => type === "session.idle", cursor, session);
  expect(wasAsked("after the slip")).toBe(false);
  expect(await client.refused("send_prompt", { session_id: session, text: "more" })).toMatchObject({ code: "read_only" }); // prettier-ignore
});

test("a turn that a new policy still allows continues", async () => {
  const { session, cursor } = await busy("allowed");
  machine.configure({ ...FREE, idleMinutes: 20, drive: ["~/src/repo"] });
  await sleep(2_500); // twice as long as serve takes to notice
  release();
  await client.eventsUntil(({ type }) => type === "session.idle", cursor, session);
  expect(wasAsked("allowed")).toBe(true);
});
