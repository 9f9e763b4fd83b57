// Root cause: of a person's waits for events and revocations the oldest was answered early when there were more than a thousand. Whoever waits comes
// back at once when answered, so from then on the waits replaced each other without end. 2,400 long polls and streams with a read-only token made
// the gate answer nobody any more, even after all of their clients had left.
import { aroundEach, describe, expect, test, vi } from "vitest";
import { CROWDED_MS, MAX_WAITING, Waiters } from "../../../control-api/src/history/waiters.ts";
import { places } from "../../../control-api/src/sign-in/places.ts";
import { type RpcAnswer, TestUser } from "../../control-api/support/operator.ts";
import { onOwnTimers } from "../../support/own-timers.ts";
import { directory, Visitor } from "../../control-api/sign-in/support/visitor.ts";

const LONG_MS = 60_000;

describe("waits for events and revocations", () => {
  aroundEach((runTest) => onOwnTimers(runTest));

  test("more waits than are told of news do not wake each other, and the newest are told", async () => {
    const waiters = new Waiters<string>();
    const ended: number[] = [];
    const all = Array.from({ length: MAX_WAITING + 5 }, (_, index) =>
      waiters.wait(() => true, LONG_MS).then(() => ended.push(index)),
    );
    await vi.advanceTimersByTimeAsync(LONG_MS / 2);
    expect(ended).toEqual([]);
    waiters.announce("news");
    await vi.advanceTimersByTimeAsync(0);
    expect(ended).toHaveLength(MAX_WAITING);
    expect(ended).not.toContain(4);
    await vi.advanceTimersByTimeAsync(LONG_MS / 2);
    await Promise.all(all);
  });

  test("a wait that must not miss news for long ends soon when there are too many, and not at once", async () => {
    const waiters = new Waiters<void>(CROWDED_MS);
    let ended = 0;
    const wait = () => waiters.wait(() => true, LONG_MS).then(() => (ended += 1));
    const all = Array.from({ length: MAX_WAITING + 5 }, wait);
    await vi.advanceTimersByTimeAsync(CROWDED_MS - 1);
    expect(ended).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(ended).toBe(5);
    await vi.advanceTimersByTimeAsync(LONG_MS);
    await Promise.all(all);
  });
});

/** What opens and stays open: an event stream, a long poll at `/mcp`, and a machine's answers. */
const OPENED: [string, (user: TestUser) => Promise<(signal: AbortSignal) => Promise<Response>>][] = [
  ["event streams", async (user) => (signal) => user.fetch("/api/events", { signal })],
  ["long polls", async (user) => (signal) => call(user, "poll_events", signal)],
  ["streams of a machine", async (user) => answersOf(user, "text/event-stream")],
  ["answers of a machine in JSON that never end", async (user) => answersOf(user, "application/json")],
];

/** Opens a machine's answers of this type, which never end. */
async function answersOf(user: TestUser, type: string): Promise<(signal: AbortSignal) => Promise<Response>> {
  const owner = new TestUser(user.id);
  await owner.machine("attic");
  const planned = { headers: { "content-type": type }, body: ": open\n\n", isEndless: true } as const;
  await owner.script("attic", { answers: { "GET /mcp": planned } });
  const path = `/m/${await owner.slug("attic")}/mcp`;
  return (signal) => user.fetch(path, { headers: { accept: "text/event-stream" }, signal });
}

const JSON_TYPE = { "content-type": "application/json", accept: "application/json, text/event-stream" };

/** A short call, read to its end. */
async function list(user: TestUser): Promise<{ status: number; text: string }> {
  const response = await call(user, "list_machines", new AbortController().signal);
  return { status: response.status, text: await response.text() };
}

function call(user: TestUser, name: string, signal: AbortSignal): Promise<Response> {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 7, method: "tools/call", params: { name, arguments: {} } });
  const headers = { ...JSON_TYPE, "content-length": String(body.length) };
  return user.fetch("/mcp", { method: "POST", headers, body, signal });
}

test.each(OPENED)("one token cannot keep any number of %s open, and gets its places back", async (_what, opening) => {
  const owner = new TestUser();
  const made = async (): Promise<{ id: string; token: string }> =>
    (await owner.rest("POST", "/api/tokens", { label: "many", scopes: ["mcp:tools"] })).json();
  const [{ id, token }, { token: spare }] = [await made(), await made()];
  const user = new TestUser(owner.id, token);
  const open = await opening(user);
  const before = places.taken;

  const first = new AbortController();
  const streaming = open(first.signal);
  await expect.poll(() => places.taken).toBe(before + 1);
  const others = new AbortController();
  while (places.take({ user: owner.id, client: "many", credential: `token:${id}` }, others) !== null);
  const refused = await open(new AbortController().signal);
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
  expect(await refused.text()).toContain("open at once. Nothing was done.");
  const { status, text } = await list(user);
  const { id: answered, error } = JSON.parse(text) as RpcAnswer;
  expect([status, answered, error?.data]).toEqual([429, 7, expect.objectContaining({ code: "too_many_requests" })]);
  expect((await list(new TestUser(owner.id, spare))).status).toBe(200);

  others.abort();
  expect((await list(user)).status).toBe(200);
  await expect.poll(() => places.taken).toBe(before + 1);
  first.abort();
  expect(places.taken).toBe(before);
  void streaming.then(({ body }) => body?.cancel()).catch(() => undefined); // it may have been cancelled with its request
});

test("a batch takes a place for each of its calls, which may all wait", async () => {
  const owner = new TestUser();
  const made = await owner.rest("POST", "/api/tokens", { label: "batch", scopes: ["mcp:tools"] });
  const { id, token }: { id: string; token: string } = await made.json();
  const batch = async (calls: number): Promise<[number, boolean]> => {
    const params = { name: "list_machines", arguments: {} };
    const body = JSON.stringify(
      Array.from({ length: calls }, (_, at) => ({ jsonrpc: "2.0", id: at, method: "tools/call", params })),
    );
    const headers = { ...JSON_TYPE, "mcp-protocol-version": "2025-03-26", "content-length": String(body.length) };
    const answer = await new TestUser(owner.id, token).fetch("/mcp", { method: "POST", headers, body });
    return [answer.status, (await answer.text()).includes("open at once")];
  };
  const before = places.taken;
  const others = new AbortController();
  const few = new AbortController();
  const whose = { user: owner.id, client: "many", credential: `token:${id}` } as const;
  for (let count = 0; count < 5; count += 1) places.take(whose, few);
  while (places.take(whose, others) !== null);
  few.abort();
  expect(await batch(6)).toEqual([429, true]);
  expect(await batch(5)).toEqual([200, false]);
  others.abort();
  await expect.poll(() => places.taken).toBe(before);
});

test("a person's browser takes a place for its stream, is told when there is none, and gets it back", async () => {
  const person = await Visitor.invited();
  const user = (await directory().people()).find(({ name }) => name === person.name)?.id ?? "";
  const before = places.taken;
  const stream = await person.get("/live");
  expect([stream.status, places.taken]).toEqual([200, before + 1]);
  const others = new AbortController();
  for (const client of ["one", "two", "three"]) while (places.take({ user, client }, others) !== null);
  const refused = await person.get("/live");
  expect([refused.status, await refused.text()]).toEqual([429, expect.stringContaining("open at once")]);
  others.abort();
  await stream.body?.cancel();
  await expect.poll(() => places.taken).toBe(before);
});
