import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { isAlive } from "./support/process.ts";
import { obedient, TestMachine, typesOf, until, type Answer, type TestClient } from "./support/machine.ts";

let machine: TestMachine;
let client: TestClient;

beforeAll(async () => {
  machine = await TestMachine.start({ script: obedient, repos: ["api", "web"] });
  client = await machine.connect();
});
afterEach(() => machine.api.script(obedient));
afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await machine[Symbol.asyncDispose]();
});

const isIdle = (event: Answer) => event["type"] === "session.idle";

/** Words of a model that goes on until it is let go. */
function gate(): { words: AsyncIterable<string>; open: () => void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  async function* words() {
    yield "first words ";
    await opened;
    yield "last words";
  }
  return { words: words(), open };
}

test("two sessions in two repositories work at once, and never see each other's events", async () => {
  const gates = { api: gate(), web: gate() };
  machine.api.script(({ prompt }) => ({
    blocks: [{ text: prompt.startsWith("api") ? gates.api.words : gates.web.words }],
  }));
  const cursor = await client.now();
  const api = await client.create(machine.repo("api"), { prompt: "api please" });
  const web = await client.create(machine.repo("web"), { prompt: "web please" });
  const isDelta = (event: Answer) => event["type"] === "message.delta";
  // Both stream at the same time: neither has ended when both have begun.
  await client.eventsUntil(isDelta, cursor, api);
  await client.eventsUntil(isDelta, cursor, web);
  gates.web.open();
  const ofWeb = await client.eventsUntil(isIdle, cursor, web);
  expect((await client.poll({ cursor, session_id: api })).events.some(isIdle)).toBe(false);
  gates.api.open();
  const ofApi = await client.eventsUntil(isIdle, cursor, api);
  expect(ofWeb.every((event) => event["session_id"] === web)).toBe(true);
  expect(ofApi.every((event) => event["session_id"] === api)).toBe(true);
  expect(ofApi.find(isIdle)).toMatchObject({ outcome: "done", model: expect.any(String) });
  const asked = machine.api.asked.filter(({ prompt }) => prompt.endsWith("please"));
  for (const { prompts } of asked) expect(prompts).toHaveLength(1);
});

test("prompts sent during a turn are answered one after the other, in order", async () => {
  const first = gate();
  machine.api.script((conversation) =>
    conversation.prompt === "one" ? { blocks: [{ text: first.words }] } : obedient(conversation),
  );
  const cursor = await client.now();
  const session = await client.create(machine.repo("api"), { prompt: "one" });
  const queued = [];
  for (const text of ["two", "three"]) queued.push(await client.call("send_prompt", { session_id: session, text }));
  expect(queued).toEqual([
    expect.objectContaining({ status: "queued", queue_length: 1 }),
    expect.objectContaining({ status: "queued", queue_length: 2 }),
  ]);
  first.open();
  const events = await client.eventsUntil((event) => event["result"] === "Heard: three", cursor, session);
  const said = events.filter((event) => event["type"] === "message").map((event) => JSON.stringify(event["parts"]));
  expect(said.map((parts) => /one|first words|Heard: two|two|Heard: three|three/.exec(parts)?.[0])).toEqual([
    "one",
    "first words",
    "two",
    "Heard: two",
    "three",
    "Heard: three",
  ]);
});

test("text is reported in pieces while it is streamed, and then once as a whole", async () => {
  async function* letters() {
    for (let index = 0; index < 600; index += 1) yield "ab ";
  }
  machine.api.script(() => ({ blocks: [{ text: letters() }] }));
  const cursor = await client.now();
  const session = await client.create(machine.repo("api"), { prompt: "spell" });
  const events = await client.eventsUntil(isIdle, cursor, session);
  const deltas = events.filter((event) => event["type"] === "message.delta");
  expect(deltas.map((event) => event["text"]).join("")).toBe("ab ".repeat(600));
  expect(deltas.length).toBeLessThan(60);
  const whole = events.filter((event) => event["type"] === "message" && event["role"] === "assistant");
  expect(whole).toHaveLength(1);

  const { events: coarse } = await client.poll({ cursor, session_id: session, detail: "coarse" });
  expect(coarse).toEqual(events.filter((event) => !deltas.includes(event)));
});

test("a coarse poll waits until a message is complete", async () => {
  const endless = gate();
  machine.api.script(() => ({ blocks: [{ text: endless.words }] }));
  const cursor = await client.now();
  const session = await client.create(machine.repo("api"), { prompt: "go on" });
  const begun = await client.eventsUntil((event) => event["type"] === "message.delta", cursor, session);
  const after = String(begun.at(-1)?.["id"]);
  const polled = client.poll({ cursor: after, session_id: session, detail: "coarse", timeout_ms: 20_000 });
  endless.open();
  expect((await polled).events[0]).toMatchObject({ type: "message", role: "assistant" });
});

test("aborting in mid-sentence ends the turn and drops the prompts behind it, and the session continues", async () => {
  const endless = gate();
  machine.api.script((conversation) =>
    conversation.prompt === "go on" ? { blocks: [{ text: endless.words }] } : obedient(conversation),
  );
  const cursor = await client.now();
  const session = await client.create(machine.repo("api"), { prompt: "go on" });
  await client.eventsUntil((event) => event["type"] === "message.delta", cursor, session);
  await client.call("send_prompt", { session_id: session, text: "never asked" });
  const aborted = await client.call("abort_session", { session_id: session });
  expect(aborted).toMatchObject({ aborted: true, dropped_prompts: 1 });
  const events = await client.eventsUntil(isIdle, cursor, session);
  expect(events.at(-1)).toMatchObject({ outcome: "interrupted" });
  const after = await client.call("send_and_wait", { session_id: session, text: "still there?", slug: "-" });
  expect(after["result"]).toBe("Heard: still there?");
  expect(machine.api.asked.some(({ prompt }) => prompt === "never asked")).toBe(false);
  endless.open();
});

test("aborting kills the commands of the turn, including stubborn ones", async () => {
  machine.configure({ respondPermission: true });
  const cwd = machine.repo("api");
  const cursor = await client.now();
  const command = `trap '' TERM; echo $$ > shell.pid; sh -c 'trap "" TERM HUP; echo $$ > child.pid; tail -f /dev/null'`;
  const session = await client.create(cwd, { prompt: `bash ${command}` });
  const events = await client.eventsUntil((event) => event["type"] === "permission.requested", cursor, session);
  await client.call("respond_permission", {
    session_id: session,
    request_id: events.at(-1)?.["request_id"],
    behavior: "allow",
  });
  const pids = await until("both processes", () => {
    const files = ["shell.pid", "child.pid"].map((name) => join(cwd, name));
    if (!files.every(existsSync)) return undefined;
    const found = files.map((file) => Number(readFileSync(file, "utf8")));
    return found.every((pid) => pid > 0) ? found : undefined;
  });
  expect(pids.map(isAlive)).toEqual([true, true]);
  expect(await client.call("abort_session", { session_id: session })).toMatchObject({ aborted: true });
  await until("both to be gone", () => (pids.some(isAlive) ? undefined : true));
  machine.configure({});
});

test("a failing model causes a failed turn with its reason, and the session continues", async () => {
  machine.api.script(() => ({ status: 400, error: "invalid_request_error", message: "the stand-in is out of order" }));
  const cursor = await client.now();
  const session = await client.create(machine.repo("api"), { prompt: "hello" });
  const events = await client.eventsUntil(isIdle, cursor, session);
  expect(typesOf(events)).toContain("session.error");
  expect(JSON.stringify(events)).toContain("the stand-in is out of order");
  machine.api.script(obedient);
  const after = await client.call("send_and_wait", { session_id: session, text: "better?", slug: "-" });
  expect(after).toMatchObject({ status: "done", result: "Heard: better?" });
});

test("waiting for a slow turn ends in time and reports that the turn continues", async () => {
  const slow = gate();
  machine.api.script(() => ({ blocks: [{ text: slow.words }] }));
  const session = await client.create(machine.repo("api"));
  const input = { session_id: session, text: "take your time", slug: "-", timeout_ms: 200 };
  expect(await client.call("send_and_wait", input)).toMatchObject({ status: "running", permission_requests: [] });
  slow.open();
  await client.eventsUntil(
    (event) => event["result"] === "first words last words",
    (await client.now()).replace(/\d+$/, "0"),
    session,
  );
});

test("pictures, documents and text files reach the model with the prompt", async () => {
  const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  const session = await client.create(machine.repo("api"));
  await client.call("send_prompt", {
    session_id: session,
    text: "look at this",
    attachments: [
      { media_type: "image/png", data: png },
      { media_type: "text/plain", data: Buffer.from("a note").toString("base64"), name: "note.txt" },
    ],
  });
  const seen = await until("the model to be asked", () =>
    machine.api.asked.find(({ prompt }) => prompt === "look at this"),
  );
  const body = JSON.stringify(seen.body.messages);
  expect(body).toContain(png.slice(0, 40));
  expect(body).toContain("a note");
  // And are read again from the session by a handle, since their data would be most of a page of messages.
  type Part = { type: string; handle?: string; total_chars?: number };
  const image = await until("the picture to be in the session", async () => {
    const { messages } = (await client.call("get_session", { session_id: session })) as {
      messages: { parts: Part[] }[];
    };
    return messages.flatMap(({ parts }) => parts).find(({ type }) => type === "image");
  });
  expect(image).toEqual({
    type: "image",
    media_type: "image/png",
    handle: expect.any(String),
    total_chars: png.length,
  });
  const { part } = await client.call("get_session", { session_id: session, handle: image?.handle });
  expect(part).toMatchObject({ media_type: "image/png", data: png });
});

test("a background command is reported when it starts and when it ends", async () => {
  machine.configure({ respondPermission: true });
  machine.api.script((conversation) => {
    const { prompt, results } = conversation;
    if (prompt !== "in the background" || results.length > 0) return obedient(conversation);
    const input = { command: "touch background.txt; until [ -e go.txt ]; do sleep 0.1; done", run_in_background: true };
    return { blocks: [{ tool: "Bash", input: { ...input, description: "wait for it" } }] };
  });
  const cwd = machine.repo("web");
  const cursor = await client.now();
  const session = await client.create(cwd, { prompt: "in the background" });
  const asked = await client.eventsUntil((event) => event["type"] === "permission.requested", cursor, session);
  const request = asked.at(-1)?.["request_id"];
  await client.call("respond_permission", { session_id: session, request_id: request, behavior: "allow" });
  const begun = await client.eventsUntil((event) => event["type"] === "task.started", cursor, session);
  const task = begun.find((event) => event["type"] === "task.started");
  expect(task).toMatchObject({ description: "wait for it", task_id: expect.any(String) });
  await client.eventsUntil(isIdle, cursor, session);
  writeFileSync(join(cwd, "go.txt"), "");
  const events = await client.eventsUntil((event) => event["type"] === "task.finished", cursor, session);
  const finished = events.find((event) => event["type"] === "task.finished");
  expect(finished).toMatchObject({ task_id: task?.["task_id"], status: "completed" });
  // Claude then looks at the outcome in a turn that nobody prompted. A prompt that comes just then gets its own answer.
  const after = await client.call("send_and_wait", { session_id: session, text: "thank you", slug: "-" });
  expect(after["result"]).toContain("Heard: thank you");
  machine.configure({});
});

test("several pollers wait for the same events and each gets all of them, and a waiting poll ends with the event", async () => {
  const session = await client.create(machine.repo("api"));
  await using other = await machine.connect({}, "other");
  const cursor = await client.now();
  const waiting = [client, other, client].map((one) => one.poll({ cursor, session_id: session, timeout_ms: 25_000 }));
  await client.call("send_and_wait", { session_id: session, text: "for all to hear", slug: "-" });
  const heard = await Promise.all(waiting);
  const events = await Promise.all(heard.map(async (page) => [...page.events, ...(await rest(page.cursor, session))]));
  for (const one of events) {
    expect(one.map((event) => event["id"])).toEqual(events[0]?.map((event) => event["id"]));
    expect(typesOf(one)).toContain("session.idle");
  }
});

async function rest(cursor: string, session: string): Promise<Answer[]> {
  return (await client.poll({ cursor, session_id: session })).events;
}

test("a fork has the session's history, develops separately, and survives being disposed before its first prompt", async () => {
  const session = await client.create(machine.repo("api"));
  await client.call("send_and_wait", { session_id: session, text: "the word is Mandelbrot", slug: "-" });
  const { session_id: fork } = await client.call("fork_session", { session_id: session, slug: "-" });
  await client.call("dispose_session", { session_id: fork });
  await client.call("send_and_wait", { session_id: fork, text: "in the fork", slug: "-" });
  expect(machine.api.lastOfTurn?.prompts).toEqual(["the word is Mandelbrot", "in the fork"]);
  await client.call("send_and_wait", { session_id: session, text: "in the original", slug: "-" });
  expect(machine.api.lastOfTurn?.prompts).toEqual(["the word is Mandelbrot", "in the original"]);
});

test("a call repeated with its key runs once, and its key is refused for anything else", async () => {
  const cwd = machine.repo("api");
  const twice = { slug: "-", cwd, prompt: "only once", key: "create-1" };
  const [one, two] = await Promise.all([client.call("create_session", twice), client.call("create_session", twice)]);
  expect(two).toEqual(one);
  const taken = await until("the prompt to be taken", async () => {
    const again = await client.call("create_session", twice);
    return again["status"] === "taken" ? again : undefined;
  });
  expect(taken).toEqual({ ...one, status: "taken" });
  const send = { session_id: one["session_id"], text: "sent once", key: "send-1" };
  const sent = await client.call("send_prompt", send);
  expect(await client.call("send_prompt", send)).toMatchObject({ turn_id: sent["turn_id"] });
  await client.call("send_and_wait", { session_id: one["session_id"], text: "last", slug: "-" });
  const prompts = machine.api.lastOfTurn?.prompts;
  expect(prompts).toEqual(["only once", "sent once", "last"]);
  expect(await client.refused("send_prompt", { ...send, text: "something else" })).toMatchObject({
    code: "key_reused",
  });
});

test("a prompt with a key runs once, whether serve is killed before or after the agent has taken it", async () => {
  const cwd = machine.repo("api");
  const held = Promise.withResolvers<void>();
  const asked = machine.api.asked.length;
  machine.api.script(async ({ prompt }) => {
    if (prompt === "first, held") await held.promise;
    return { blocks: [{ text: `Heard: ${prompt}` }] };
  });
  const made = { slug: "-", cwd, prompt: "first, held", key: "kill-1" };
  const cursor = await client.now();
  const { session_id: session } = await client.call("create_session", made);
  await client.eventsUntil((event) => event["type"] === "turn.started", cursor, String(session));
  await until(
    "the model to be asked",
    () => machine.api.asked.slice(asked).some(({ tools }) => tools.length > 0) || undefined,
  );
  const queued = { session_id: session, text: "second, queued", key: "kill-2" };
  expect(await client.call("send_prompt", queued)).toMatchObject({ status: "queued" });
  await client[Symbol.asyncDispose]();
  await machine.stop("SIGKILL");
  held.resolve();
  await machine.serve();
  client = await machine.connect();
  expect(await client.call("create_session", made)).toMatchObject({ session_id: session });
  const after = await client.now();
  expect(await client.call("send_prompt", queued)).toMatchObject({ session_id: session, turn_id: expect.any(String) });
  await client.eventsUntil((event) => event["type"] === "session.idle", after, String(session));
  expect(await client.call("send_prompt", queued)).toMatchObject({ session_id: session });
  await client.call("send_and_wait", { session_id: session, text: "last", slug: "-" });
  const own = machine.api.asked.slice(asked).filter(({ tools }) => tools.length > 0);
  expect(own.map(({ prompt }) => prompt)).toEqual(["first, held", "second, queued", "last"]);
  expect(own.at(-1)?.prompts).toEqual(["first, held", "second, queued", "last"]);
  machine.api.script(obedient);
});
