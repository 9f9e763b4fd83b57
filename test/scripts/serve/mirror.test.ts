import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { obedient, TestMachine, typesOf, until, type Answer, type TestClient } from "./support/machine.ts";

let machine: TestMachine;
let client: TestClient;

beforeAll(async () => {
  machine = await TestMachine.start({ script: obedient });
  client = await machine.connect();
});
afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await machine[Symbol.asyncDispose]();
});

const SESSION = "0b5c7a52-6d0e-4f5e-9a53-1f6f3c1d2e90";

function say(text: string): string {
  const message = { role: "user", content: text };
  return `${JSON.stringify({ type: "user", session_id: "", parent_tool_use_id: null, message })}\n`;
}

async function statusOf(session: string): Promise<unknown> {
  const answer = (await client.call("get_session", { session_id: session, slug: "-" })) as { session: Answer };
  return answer.session["status"];
}

test("a session in a terminal can be seen, watched, read and forked but not prompted, and resumed once it is closed", async () => {
  const cwd = machine.repo("repo");
  const cursor = await client.now();
  const terminal = machine.terminal(cwd, "--session-id", SESSION);
  terminal.stdin?.write(say("typed at the terminal"));
  const events = await client.eventsUntil(
    (event) => event["role"] === "assistant" && event["type"] === "message",
    cursor,
    SESSION,
  );
  expect(typesOf(events)).toEqual(expect.arrayContaining(["session.created", "message"]));
  expect(JSON.stringify(events)).toContain("Heard: typed at the terminal");
  expect(events.find(({ type }) => type === "session.created")).toMatchObject({ slug: machine.slug("repo"), cwd });
  await client.eventsUntil(
    ({ type, model }) => type === "session.updated" && typeof model === "string",
    cursor,
    SESSION,
  );

  const { sessions } = (await client.call("list_sessions", { slug: machine.slug("repo") })) as { sessions: Answer[] };
  expect(sessions).toContainEqual(
    expect.objectContaining({ session_id: SESSION, status: "mirror", title: "typed at the terminal" }),
  );
  expect(await client.refused("send_prompt", { session_id: SESSION, text: "from afar" })).toMatchObject({
    code: "session_mirrored",
    pid: terminal.pid,
  });
  const { session_id: fork } = await client.call("fork_session", { session_id: SESSION, slug: "-" });
  await client.call("send_and_wait", { session_id: fork, text: "in a fork", slug: "-" });
  expect(machine.api.lastOfTurn?.prompts).toEqual(["typed at the terminal", "in a fork"]);
  // Watching goes on, and forking took nothing from the terminal.
  const later = await client.now();
  terminal.stdin?.write(say("typed later"));
  await client.eventsUntil((event) => JSON.stringify(event).includes("Heard: typed later"), later, SESSION);

  const closed = once(terminal, "exit");
  terminal.stdin?.end();
  await closed;
  await until("the session to be free", async () => ((await statusOf(SESSION)) === "idle" ? true : undefined));
  const beforeResuming = await client.now();
  const resumed = await client.call("send_and_wait", { session_id: SESSION, text: "from afar", slug: "-" });
  expect(resumed).toMatchObject({ result: "Heard: from afar" });
  expect(machine.api.lastOfTurn?.prompts).toEqual(["typed at the terminal", "typed later", "from afar"]);
  // Events that serve reports itself are not reported again from the file.
  await client.call("dispose_session", { session_id: SESSION });
  await client.call("search_sessions", { query: "afar" });
  const told = (await client.poll({ cursor: beforeResuming, session_id: SESSION })).events;
  expect(told.filter((event) => JSON.stringify(event["parts"] ?? "").includes("Heard: from afar"))).toHaveLength(1);
});
