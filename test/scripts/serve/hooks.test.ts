import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { HookFile } from "../../../scripts/codez/hooks/hook-file.ts";
import { Lock } from "../../../scripts/system/lock.ts";
import { peerBin } from "../../peers/bin.ts";
import { HttpServer } from "../connector/support/http-server.ts";
import { CODEZ, obedient, TestMachine, until } from "./support/machine.ts";

/** What Codex 0.169.0 passed to a hook when it wanted to run a command outside its sandbox. It has no id of the tool's use. */
const FROM_CODEX = {
  session_id: "01a2019a-65f5-7a70-a619-90be9014fca4",
  turn_id: "01a2019a-660b-7561-a133-daa23c1a772b",
  transcript_path: "/home/ann/.codex/sessions/2026/11/22/rollout-2026-11-22T04-53-45-01a2019a.jsonl",
  cwd: "/home/ann/api",
  hook_event_name: "PermissionRequest",
  model: "gpt-5.1",
  permission_mode: "default",
  tool_name: "Bash",
  tool_input: { command: "touch proof.txt", description: "to see" },
};

let machine: TestMachine;
/** The file in which a connector of this computer says whether it is linked. */
let lock: Lock;

beforeAll(async () => {
  machine = await TestMachine.start({ script: obedient });
  const folder = join(machine.home, ".codez", "machines");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "attic.json"), "{}");
  const taken = Lock.take(join(folder, "attic.lock"));
  if (!(taken instanceof Lock)) throw new Error("somebody else has the lock");
  lock = taken;
  const settings = new HookFile(join(machine.home, ".claude", "settings.json"), join(machine.home, ".codez"));
  settings.install(`"${process.execPath}" "${CODEZ}"`, 600);
});
afterAll(async () => {
  lock.release();
  await machine[Symbol.asyncDispose]();
});

/** A person's own Claude Code, which asks before it makes a file. Answers what it printed. */
function claude(file: string): { done: Promise<string>; path: string; kill: () => void } {
  const cwd = machine.repo("repo");
  const child = spawn(peerBin("claude"), ["--print", `bash touch ${file}`], {
    cwd,
    env: machine.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (out += text));
  return { done: once(child, "close").then(() => out), path: join(cwd, file), kill: () => void child.kill("SIGKILL") };
}

type Waiting = { request_id: string; session_id: string; tool: string };

async function waiting(): Promise<Waiting[]> {
  return JSON.parse((await machine.codez("permissions", "--json")).stdout);
}

/** The same from serve itself, for what is asked until it is so: a command each time keeps the computer from what is waited for. */
async function waitingNow(): Promise<Waiting[]> {
  const { token } = JSON.parse(readFileSync(join(machine.home, ".codez", "serve", "running.json"), "utf8"));
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(new URL("/local/permissions", machine.url), { headers });
  return ((await answer.json()) as { requests: Waiting[] }).requests;
}

async function asked(): Promise<string> {
  return until("the terminal's request", async () => (await waitingNow())[0]?.request_id);
}

/** Until no request waits, as the command shows it. */
async function noneWaits(): Promise<void> {
  await until("the request to be gone", async () => ((await waitingNow()).length === 0 ? true : undefined));
  expect(await waiting()).toEqual([]);
}

/** The hook itself, with what Claude Code passes to it; answers what it prints and how long it took. */
async function hook(input: object = {}): Promise<{ printed: string; tookMs: number }> {
  const startedMs = performance.now();
  const child = spawn(process.execPath, [CODEZ, "hooks", "answer"], {
    env: machine.env,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const given = {
    session_id: "00000000-0000-4000-8000-000000000000",
    cwd: "/",
    tool_name: "Bash",
    tool_input: { command: "ls" },
    ...input,
  };
  child.stdin.end(JSON.stringify(given));
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
  await once(child, "close");
  return { printed, tookMs: performance.now() - startedMs };
}

describe("a session in a terminal, with the real Claude Code", () => {
  test("asks in the inbox, and goes on with the decision that was made there", async () => {
    lock.say("online", "");
    const { done, path } = claude("allowed-from-afar.txt");
    const request = await asked();
    expect((await waiting())[0]).toMatchObject({ tool: "Bash" });
    expect(existsSync(path)).toBe(false);
    expect(await machine.codez("permissions", "allow", request)).toMatchObject({ code: 0 });
    await done;
    expect(existsSync(path)).toBe(true);

    const denied = claude("denied-from-afar.txt");
    await machine.codez("permissions", "deny", await asked(), "--reason", "not on a Friday");
    expect(await denied.done).toContain("not on a Friday");
    expect(existsSync(denied.path)).toBe(false);
  });

  test("takes its request along when it ends, as it does when it is answered in the terminal", async () => {
    lock.say("online", "");
    const { kill, done } = claude("ended.txt");
    const request = await asked();
    kill();
    await done;
    await noneWaits();
    expect((await machine.codez("permissions", "allow", request)).stderr).toContain("answered in the terminal");
  });
});

describe("the hook", () => {
  test("leaves everything to the terminal at once, when Operator cannot be reached", async () => {
    lock.say("offline", "no network");
    const { printed } = await hook();
    expect(printed).toBe("");
    expect(await waiting()).toEqual([]);
  });

  test("leaves it to the terminal soon, when the link is lost while it waits", async () => {
    lock.say("online", "");
    const answer = hook();
    await asked();
    const lostMs = performance.now();
    lock.say("offline", "no network");
    const { printed } = await answer;
    expect(printed).toBe("");
    // It looks four times in a second, and would wait for an answer for an hour.
    expect(performance.now() - lostMs).toBeLessThan(20_000);
    await noneWaits();
  });

  test("waits for a serve that needs more than a second, as on a busy computer, to take its request", async () => {
    lock.say("online", "");
    await using slow = await HttpServer.start(async (_, response) => {
      await sleep(1_500);
      response.end(JSON.stringify({ behavior: "allow", reason: null, answers: null }));
    });
    const folder = join(machine.home, ".codez", "serve");
    const own = readFileSync(join(folder, "running.json"), "utf8");
    onTestFinished(() => writeFileSync(join(folder, "running.json"), own));
    writeFileSync(join(folder, "running.json"), JSON.stringify({ ...JSON.parse(own), port: Number(slow.url.port) }));
    expect((await hook()).printed).toContain('"allow"');
  });

  test("passes answers on as the tool's input", async () => {
    lock.say("online", "");
    const questions = [{ question: "Which?", options: [{ label: "This" }, { label: "That" }] }];
    const answer = hook({ tool_name: "AskUserQuestion", tool_input: { questions } });
    await machine.codez("permissions", "answer", await asked(), "2");
    expect(JSON.parse((await answer).printed)).toEqual({
      hookSpecificOutput: {
        hookEventName: "PermissionRequest",
        decision: { behavior: "allow", updatedInput: { questions, answers: { "Which?": "That" } } },
      },
    });
  });

  test("gives Codex the person's decision, with the fields that it takes and no others", async () => {
    lock.say("online", "");
    for (const [behavior, message] of [["allow"], ["deny", "not on a Friday"]] as const) {
      const answer = hook(FROM_CODEX);
      const request = await asked();
      expect((await waiting())[0]).toMatchObject({ tool: "Bash", session_id: FROM_CODEX.session_id });
      await machine.codez("permissions", behavior, request, ...(message === undefined ? [] : ["--reason", message]));
      // Codex refuses an answer with `interrupt`, `updatedInput` or `updatedPermissions`, or with a field that it does not know.
      expect(JSON.parse((await answer).printed)).toEqual({
        hookSpecificOutput: {
          hookEventName: "PermissionRequest",
          decision: { behavior, ...(message === undefined ? {} : { message }) },
        },
      });
    }
  });

  test("does nothing in a session of codez serve, which asks by itself", async () => {
    lock.say("online", "");
    await using client = await machine.connect();
    const session = await client.create(machine.repo("repo"), { prompt: "bash touch served.txt" });
    await asked();
    expect(await waiting()).toHaveLength(1);
    await client.call("dispose_session", { session_id: session });
  });
});
