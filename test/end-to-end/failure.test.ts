import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { client } from "./support/clients.ts";
import { CutProxy, type Direction } from "./support/cut-proxy.ts";
import { eventually, until, within } from "./support/eventually.ts";
import { Poller } from "./support/events.ts";
import { HeldServer } from "./support/held-server.ts";
import { type Answer, send } from "./support/http.ts";
import { KillableMachine } from "./support/killable-machine.ts";
import { Machine } from "./support/machine.ts";
import { TestOperator } from "./support/operator.ts";
import { startedHere } from "./support/processes.ts";

/** By then a caller must have its error. A hang guard: on a busy machine "at once" may take a second or two. */
const PROMPT_MS = 10_000;

const HEADERS = {
  "content-type": "application/json",
  accept: "application/json, text/event-stream",
  "mcp-protocol-version": "2025-11-25",
};

let operator: TestOperator;
let server: HeldServer;
let proxy: CutProxy;
/** The machine that everything happens to, and one that nothing may happen to. */
let attic: KillableMachine;
let barn: Machine;
let follower: Poller;
let other: Poller;

/** The process of attic's script: of all workerds the one that no other machine and not the control API had before. */
let others: number[];
const workerds = (): number[] =>
  startedHere().flatMap(({ pid, command }) => (/workerd\S* serve/.test(command) ? [pid] : []));
/** One that was replaced may still be ending. */
function workerdOfAttic(): Promise<number> {
  return eventually("only one workerd is attic's", () => {
    const own = workerds().filter((one) => !others.includes(one));
    return own.length === 1 ? own[0] : undefined;
  });
}

beforeAll(async () => {
  // These tests say themselves when a script is restarted, and count how often its link drops. An upload of theirs that is repeated
  // because its reply was lost could overtake one of Operator's.
  operator = await TestOperator.start({}, { restartShare: 0, lostShare: 0 });
  server = await HeldServer.start();
  proxy = await CutProxy.start(() => operator.port);
  operator.own(server);
  operator.own(proxy);
  barn = await Machine.add(operator, "barn", server.url);
  others = workerds();
  attic = await KillableMachine.add(operator, "attic", server.url, (linkUrl) => proxy.through(linkUrl));
  follower = await Poller.start(operator.mcpUrl);
  other = await Poller.start(operator.mcpUrl);
  operator.own(follower);
  operator.own(other);
});

afterAll(() => operator[Symbol.asyncDispose]());

let pushed = 0;
const toldByAttic: number[] = [];
const toldByBarn: unknown[] = [];

/** An event on each machine, numbered. */
async function tell(): Promise<void> {
  pushed += 1;
  const event = { atMs: pushed, type: "message", session: "s", data: pushed };
  const before = attic.taken;
  barn.push(event);
  toldByBarn.push(pushed);
  await attic.push(event);
  if (attic.taken > before) toldByAttic.push(pushed);
}

function body(tool: string, name: string): string {
  return JSON.stringify({
    jsonrpc: "2.0",
    id: `id of ${name}`,
    method: "tools/call",
    params: { name: tool, arguments: { name } },
  });
}

/** The last message of an answer, in JSON or as the last event of a stream. */
function lastMessage({ text }: Answer): unknown {
  const [last = text] = text
    .trim()
    .split("\n")
    .filter((line) => line.startsWith("data: "))
    .slice(-1);
  return JSON.parse(last.replace(/^data: /, ""));
}

/** What a client has read of an event stream so far. */
class EventStream {
  text = "";
  /** Resolves when the stream ends, however it does. */
  readonly ended: Promise<void>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;

  constructor({ body: stream }: Response) {
    if (stream === null) throw new Error("no stream");
    this.#reader = stream.getReader();
    this.ended = this.#read().catch(() => undefined); // a connection that broke has ended as well
  }

  /** The id of the newest event; `null` before the first. */
  get lastId(): string | null {
    return (
      this.text
        .match(/^id: (.*)$/gm)
        ?.at(-1)
        ?.slice("id: ".length) ?? null
    );
  }

  close(): Promise<void> {
    return this.#reader.cancel();
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    for (let part = await this.#reader.read(); !part.done; part = await this.#reader.read())
      this.text += decoder.decode(part.value, { stream: true });
  }
}

let calls = 0;

/** Calls of every kind that are under way while `happens`; each has to end with `link_lost`, promptly, and was made once. */
async function allFail(happens: () => Promise<void>): Promise<void> {
  calls += 1;
  const names = {
    hold: `hold ${calls}`,
    stream: `stream ${calls}`,
    unified: `unified ${calls}`,
    told: `told ${calls}`,
    safe: `safe ${calls}`,
  };
  const made = await client(operator.mcpUrl, "2026-07-28");
  onTestFinished(() => made.close());
  const throughUnified = (tool: string, name: string, options = {}) =>
    made.callTool({ name: "call_tool", arguments: { machineId: "attic", name: tool, arguments: { name } } }, options);
  const held = send(attic.url, { headers: HEADERS, body: body("hold", names.hold) });
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const streamed = send(attic.url, { headers: HEADERS, body: body("stream", names.stream) }, (piece) => {
    if (piece.includes("notifications/progress")) begin();
  });
  const results = Promise.allSettled([
    throughUnified("hold", names.unified),
    throughUnified("stream", names.told, { onprogress: () => undefined }),
  ]);
  const answers = Promise.allSettled([held, streamed]);
  const safe = send(barn.url, { headers: HEADERS, body: body("stream", names.safe) });
  for (const name of Object.values(names)) await server.holds(name);
  await within(PROMPT_MS, "the first event of the stream", begun);
  await tell();
  await happens();

  await within(PROMPT_MS, "the ends of the calls at the machine's URL", answers);
  for (const result of await within(PROMPT_MS, "the ends of the calls at /mcp", results))
    expect(result).toMatchObject({
      status: "fulfilled",
      value: { isError: true, structuredContent: { error: { code: "link_lost", machine: "attic" } } },
    });
  const { status, text } = await held;
  expect([status, JSON.parse(text)]).toMatchObject([
    502,
    { id: `id of ${names.hold}`, error: { data: { code: "link_lost", machine: "attic" } } },
  ]);
  // A stream had its first event, and gets a last one: from the script, or from the gate when the script is gone.
  expect((await streamed).text).toContain("notifications/progress");
  expect(lastMessage(await streamed)).toMatchObject({
    id: `id of ${names.stream}`,
    error: { data: { code: "link_lost" } },
  });
  server.release(names.safe);
  expect(lastMessage(await within(PROMPT_MS, "the neighbour's answer", safe))).toMatchObject({ result: {} });
  for (const name of Object.values(names)) expect([name, server.calls.get(name)]).toEqual([name, 1]);
}

/** Both ways to the machine work. */
async function works(): Promise<void> {
  await attic.online();
  calls += 1;
  const name = `works ${calls}`;
  expect(lastMessage(await send(attic.url, { headers: HEADERS, body: body("echo", name) }))).toMatchObject({
    result: { content: [{ text: name }] },
  });
  await using made = await client(operator.mcpUrl, "2026-07-28");
  expect(
    await made.callTool({ name: "call_tool", arguments: { machineId: "attic", name: "echo", arguments: { name } } }),
  ).toMatchObject({ content: [{ text: name }] });
  expect(server.calls.get(name)).toBe(2);
}

/** All events that were told, once each and in order, for two who read independently. */
async function eventsAreWhole(): Promise<void> {
  await tell();
  for (const poller of [follower, other]) {
    await until("every event is in the log", async () => {
      await poller.read();
      return poller.saidBy("attic").length >= toldByAttic.length && poller.saidBy("barn").length >= toldByBarn.length;
    });
    expect(poller.saidBy("attic")).toEqual(toldByAttic);
    expect(poller.saidBy("barn")).toEqual(toldByBarn);
    expect(poller.gaps).toEqual([]);
  }
}

describe("during calls and while events are being sent", () => {
  test("killing the connector fails the calls at once, and the next connector brings the machine back", async () => {
    await allFail(() => attic.kill());
    const offline = await send(attic.url, { headers: HEADERS, body: body("echo", "while offline") });
    expect([offline.status, lastMessage(offline)]).toMatchObject([
      503,
      { error: { data: { code: "machine_offline" } } },
    ]);
    await attic.start();
    await works();
    await eventsAreWhole();
  });

  test("when Operator replaces the machine's script, callers are told first, and the link returns by itself", async () => {
    const current = (await attic.detail()).template;
    const runs = async (template: string): Promise<boolean> => {
      const detail = await attic.detail();
      return detail.template === template && detail.state?.template === template && detail.state.online;
    };
    // A script of another template is replaced at once when its machine dials in; within minutes not a second time.
    const { links: before } = attic;
    await attic.replaceScript("older");
    await until("the upgrade", async () => attic.links >= before + 2 && (await runs(current)));
    const { links: between } = attic;
    await attic.replaceScript("older");
    // Operator may know of the new link before the connector's process has told of it here.
    await until("the older script", async () => attic.links > between && (await runs("older")));
    const { links } = attic;
    await allFail(() => attic.upgrade());
    await until("a new link", () => attic.links > links);
    await until("the upgrade", () => runs(current));
    await works();
    // The link drops only once: the old script accepts no more links, so the next one belongs to the new script.
    expect(attic.links).toBe(links + 1);
    expect(barn.epochs).toHaveLength(1);
    await eventsAreWhole();
  });

  test("when the platform replaces the script without notice, callers are told as well", async () => {
    const { links } = attic;
    const { template } = await attic.detail();
    await allFail(() => attic.replaceScript(template));
    await until("a new link", () => attic.links > links);
    await works();
    expect(barn.epochs).toHaveLength(1);
    await eventsAreWhole();
  });

  test("killing the machine's workerd restarts it, and no call runs twice", async () => {
    const { links } = attic;
    await allFail(async () => void process.kill(await workerdOfAttic(), "SIGKILL"));
    await until("a new link", () => attic.links > links);
    await works();
    expect(barn.epochs).toHaveLength(1);
    await eventsAreWhole();
  });

  test("when the control API is deployed again, links and streams come back by themselves, and no event is lost", async () => {
    const { links } = attic;
    const scripts = new Set(workerds());
    calls += 1;
    const name = `deployed ${calls}`;
    const ended = Promise.allSettled([send(attic.url, { headers: HEADERS, body: body("hold", name) })]);
    await server.holds(name);
    const stream = new EventStream(await operator.request("/api/events"));
    await tell();
    await until("the stream has an event", () => stream.lastId !== null);
    await operator.redeploy();
    // Nobody can say any more whether the call was carried out; that it ended must not take long.
    await within(PROMPT_MS, "the end of the call", ended);
    await within(PROMPT_MS, "the end of the stream", stream.ended);
    await tell(); // before the link is back
    await until("a new link", () => attic.links > links);
    await works();
    expect(server.calls.get(name)).toBe(1);
    const resumed = new EventStream(
      await operator.request("/api/events", { headers: { "last-event-id": stream.lastId ?? "" } }),
    );
    await until("the stream goes on where it was", () => resumed.text.includes(`"data":${toldByAttic.at(-1)}`));
    await resumed.close();
    // Of all workerds one was replaced: the gate's.
    expect(workerds().filter((pid) => !scripts.has(pid))).toHaveLength(1);
    await eventsAreWhole();
  });

  test("when Operator restarts, machines reconnect by themselves and cursors stay valid", async () => {
    calls += 1;
    const name = `restart ${calls}`;
    const ended = Promise.allSettled([send(attic.url, { headers: HEADERS, body: body("hold", name) })]);
    await server.holds(name);
    await operator.stop();
    const [end] = await within(PROMPT_MS, "the end of the call", ended);
    expect(end?.status).toBe("rejected"); // nobody is there to say why
    await tell(); // the machines go on meanwhile
    await operator.start();
    await barn.online();
    await works();
    expect(server.calls.get(name)).toBe(1);
    await eventsAreWhole();
  });
});

test("cutting the link after any byte, in either direction, completes a call or fails it with a typed error, and loses or duplicates no event", async () => {
  // A call's frames, an event's, an acknowledgement's, and of the next connection its handshake, hello and welcome.
  const points = [1, 2, 3, 5, 8, 20, 60, 100, 150, 200, 250, 300, 350, 400, 500, 600, 800];
  const outcomes = new Set<string>();
  for (const direction of ["up", "down"] satisfies Direction[])
    for (const bytes of points) {
      let isCut = false;
      void proxy.cutAfter(direction, bytes).then(() => (isCut = true));
      const name = `${direction} ${bytes}`;
      await tell();
      for (let attempt = 1; ; attempt += 1) {
        const sent = send(attic.url, { headers: HEADERS, body: body("echo", `${name} ${attempt}`) });
        const answer = await within(PROMPT_MS, `the answer to ${name}`, sent);
        const message = lastMessage(answer);
        if (answer.status === 200)
          expect(message).toMatchObject({ result: { content: [{ text: `${name} ${attempt}` }] } });
        else
          expect(message).toMatchObject({
            error: { data: { code: expect.stringMatching(/^(link_lost|machine_offline)$/) } },
          });
        expect(server.calls.get(`${name} ${attempt}`) ?? 0).toBeLessThanOrEqual(1);
        outcomes.add(String(answer.status));
        if (isCut) break;
      }
      await attic.online();
    }
  // Both happened, or the points were badly chosen.
  expect([...outcomes].toSorted()).toEqual(expect.arrayContaining(["200", "502"]));
  await eventsAreWhole();
});

test("polling consumes nothing, waits for new events, and filters by machine and session", async () => {
  await using late = await Poller.start(operator.mcpUrl);
  const waiting = late.read({ timeout_ms: 25_000, machineId: "barn" });
  barn.push({ atMs: 1, type: "news", session: "t", data: "awaited" });
  toldByBarn.push("awaited");
  const { events } = await within(PROMPT_MS, "the event", waiting);
  expect(events).toMatchObject([{ machine: "barn", session: "barn/t", data: "awaited" }]);
  const { events: ofSession } = await late.read({ session_id: "barn/t" });
  expect(ofSession).toEqual([]);
  await eventsAreWhole();
});

test("a removed machine's events stay readable, and a machine added under its name continues without a gap", async () => {
  await using reader = await Poller.start(operator.mcpUrl);
  const cellar = await Machine.add(operator, "cellar", server.url);
  cellar.push({ atMs: 1, type: "message", session: null, data: "first" });
  await until("the first event", async () => (await reader.read(), reader.saidBy("cellar").length === 1));
  const before = reader.cursor;
  await operator.api("DELETE", "/api/machines/cellar");
  const again = await Machine.add(operator, "cellar", server.url);
  again.push({ atMs: 2, type: "message", session: null, data: "second" });
  reader.cursor = before;
  await until("the second event", async () => (await reader.read(), reader.saidBy("cellar").length === 2));
  expect(reader.saidBy("cellar")).toEqual(["first", "second"]);
  expect(reader.gaps).toEqual([]);
});
