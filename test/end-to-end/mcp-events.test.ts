import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { createMCPClient, experimental_createMCPEventWebhook } from "@ai-sdk/mcp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Codez, codez } from "../scripts/codez/commands/support/codez.ts";
import { eventually, until } from "./support/eventually.ts";
import { Machine } from "./support/machine.ts";
import { TestOperator } from "./support/operator.ts";
import { WebhookReceiver } from "./support/webhook-receiver.ts";

type Store = NonNullable<Parameters<typeof experimental_createMCPEventWebhook>[0]["store"]>;
type Stored = Parameters<Store["set"]>[0];

let receiver: WebhookReceiver;
let operator: TestOperator;
let attic: Machine;

beforeAll(async () => {
  receiver = await WebhookReceiver.start();
  operator = await TestOperator.start({ WEBHOOK_ORIGINS: receiver.origin });
  operator.own(receiver);
  attic = await Machine.add(operator, "attic", new URL("http://127.0.0.1:9/mcp"));
});

afterAll(() => operator[Symbol.asyncDispose]());

const failed = (session: string) => ({ atMs: Date.now(), type: "session.error", session, data: { message: session } });

/** The store for subscriptions that the AI SDK requires. */
class MemoryStore implements Store {
  readonly #all = new Map<string, Stored>();

  async get(key: string): Promise<Stored | undefined> {
    return this.#all.get(key);
  }

  async getById(id: string): Promise<Stored | undefined> {
    return [...this.#all.values()].find((one) => one.id === id);
  }

  async set(subscription: Stored): Promise<void> {
    this.#all.set(subscription.key, subscription);
  }

  async update(key: string, patch: Partial<Stored>): Promise<void> {
    const known = this.#all.get(key);
    if (known !== undefined) this.#all.set(key, { ...known, ...patch });
  }

  async delete(key: string): Promise<void> {
    this.#all.delete(key);
  }
}

test("the AI SDK's client subscribes, its receiver verifies and gets events, and it unsubscribes", async () => {
  const store = new MemoryStore();
  const taken: { session: unknown; atMs: number }[] = [];
  const problems: unknown[] = [];
  const webhook = experimental_createMCPEventWebhook({
    store,
    onEvent: async ({ event }) => void taken.push({ session: event.data["session"], atMs: Date.now() }),
    onError: (problem) => void problems.push(problem),
  });
  receiver.answer = (request) => webhook(request);
  const client = await createMCPClient({
    transport: { type: "http", url: operator.mcpUrl.href },
    experimental_events: { store },
  });
  try {
    const { events } = await client.experimental_events.list();
    expect(events.map(({ name }) => name)).toContain("session.failed");
    const subscribed = await client.experimental_events.subscribe({
      name: "session.failed",
      arguments: { machineId: "attic" },
      delivery: { mode: "webhook", url: `${receiver.origin}/hook`, allowInsecureLocalhost: true },
    });
    const delays: number[] = [];
    for (let count = 1; count <= 10; count += 1) {
      const sentMs = Date.now();
      attic.push(failed(`s${count}`));
      const last = await eventually(`event ${count}`, () => taken[count - 1]);
      expect(last.session).toBe(`attic/s${count}`);
      delays.push(last.atMs - sentMs);
    }
    // That the way has no timer longer than a quarter of a second is tested without a clock: webhooks/delay.test.ts, reporter-pace.test.ts.
    console.log("delay from the machine to the callback, ms:", delays.toSorted((one, other) => one - other).join(" "));
    await client.experimental_events.refresh({ id: subscribed.id });
    attic.push(failed("s11"));
    await until("the event after a refresh", () => taken.length === 11);
    await client.experimental_events.unsubscribe({ id: subscribed.id });
    expect(problems).toEqual([]);
    expect((await operator.api("GET", "/api/webhooks")).body).toMatchObject({ subscriptions: [], dead: [] });
  } finally {
    await client.close();
  }
});

test("a webhook's messages survive a restart of Operator while its receiver is away", async () => {
  receiver.answer = () => new Response(null, { status: 503 });
  const { body } = await operator.api("POST", "/api/webhooks", { url: `${receiver.origin}/own`, types: ["session.failed"] }); // prettier-ignore
  const { id } = body as { id: string };
  const before = receiver.arrived.length;
  attic.push(failed("before-the-restart"));
  await until("the first attempt", () => receiver.arrived.length > before);
  await operator.stop();
  receiver.answer = () => new Response(null, { status: 204 });
  await operator.start();
  const arrived = await eventually(
    "the attempt after the restart",
    () =>
    receiver.arrived.slice(before + 1).find(({ path, body: text }) => path === "/own" && text.includes("before-the-restart")), // prettier-ignore
  );
  expect(arrived.headers.get("webhook-id")).toBe(receiver.arrived[before]?.headers.get("webhook-id"));
  await operator.api("DELETE", `/api/webhooks/${id}`);
});

test("a private address that is not allowed gets no requests, by number or by name", async () => {
  const other = await WebhookReceiver.start();
  operator.own(other);
  const { port } = new URL(other.origin);
  for (const url of [
    other.origin,
    `https://127.0.0.1:${port}/`,
    `https://localhost:${port}/`,
    `https://[::1]:${port}/`,
  ])
    expect((await operator.api("POST", "/api/webhooks", { url })).status, url).toBe(400);
  expect(other.arrived).toEqual([]);
});

test("codez webhooks adds, tests, lists and removes a webhook", async () => {
  const home = await mkdtemp(join(operator.folder, "computer-"));
  const run = (...args: string[]) => codez(home, ["webhooks", ...args, "--json"], { CODEZ_HUB: operator.url });
  receiver.answer = () => new Response(null, { status: 204 });
  const added = JSON.parse((await run("add", `${receiver.origin}/codez`, "--type", "session.failed")).out);
  expect(added.secret).toMatch(/^whsec_/);
  expect(JSON.parse((await run("test", added.id)).out)).toEqual({ delivered: true });
  expect(receiver.arrived.at(-1)).toMatchObject({ path: "/codez", body: expect.stringContaining("webhook.test") });
  expect(JSON.parse((await run("list")).out)).toMatchObject({ subscriptions: [{ id: added.id, types: ["session.failed"] }] }); // prettier-ignore
  receiver.answer = () => new Response(null, { status: 500 });
  const refused = await run("test", added.id);
  expect([refused.code, refused.out]).toEqual([15, expect.stringContaining("http_5xx")]);
  expect((await run("remove", added.id)).code).toBe(0);
  expect(JSON.parse((await run("list")).out)).toMatchObject({ subscriptions: [] });
});

test("codez watch prints each event once across restarts, runs a command for each, and keeps its position private", async () => {
  const home = await mkdtemp(join(operator.folder, "computer-"));
  const seen = join(home, "seen");
  const script = join(home, "note.mjs");
  writeFileSync(
    script,
    `import { appendFileSync, readFileSync } from "node:fs";
     const { session } = JSON.parse(readFileSync(0, "utf8"));
     appendFileSync(process.argv[2], session + " " + process.argv.length + " " + ("CODEZ_HUB_TOKEN" in process.env) + "\\n");`,
  );
  const env = { CODEZ_HUB: operator.url, CODEZ_HUB_TOKEN: await operator.token() };
  const args = ["watch", "--type", "session.*", "--machine", "attic", "--", process.execPath, script, seen];
  const position = (): string | undefined => {
    const [file] = readdirSync(join(home, "watch"));
    return file === undefined ? undefined : join(home, "watch", file);
  };
  {
    await using watching = new Codez(home, args, env);
    await until("its first position", () => readdirSync(home).includes("watch") && position() !== undefined);
    attic.push(failed("w1"), { atMs: 1, type: "message", session: "w1", data: {} });
    await watching.says("attic/w1");
    await until("the command", () => readdirSync(home).includes("seen"));
    await until("the position after it", () => readFileSync(seen, "utf8").includes("w1"));
  }
  attic.push(failed("$(touch pwned) `w2`"));
  await using again = new Codez(home, args, env);
  await again.says("w2");
  attic.push(failed("w3"));
  await again.says("attic/w3");
  await until("the last command", () => readFileSync(seen, "utf8").includes("w3"));
  const lines = readFileSync(seen, "utf8").trim().split("\n");
  // The one that was handled when the watcher was ended may come twice, and no other.
  expect([...new Set(lines)]).toEqual(["attic/w1 3 false", "attic/$(touch pwned) `w2` 3 false", "attic/w3 3 false"]);
  expect(
    again.out
      .trim()
      .split("\n")
      .every((line) => JSON.parse(line).type === "session.error"),
  ).toBe(true);
  expect(statSync(position() ?? "").mode & 0o777).toBe(0o600);
});
