// Root cause: what is read before anybody is known had a limit for each body, and none for how long it takes or for how many there are. A thousand
// connections of one address could each leave almost a megabyte at the gate, for as long as they liked.
import { afterEach, describe, expect, test, vi } from "vitest";
import { HeldBodies, heldBodies, type HoldLimits, type Sender } from "../../../control-api/src/http/held-bodies.ts";
import { codeOf, knock, ORIGIN } from "../../control-api/support/operator.ts";

afterEach(() => vi.restoreAllMocks());

const KB = 1024;

/** A body that sends what the test says, and does not end before the test says so. */
class OpenBody {
  readonly stream: ReadableStream<Uint8Array>;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  isCancelled = false;

  constructor() {
    this.stream = new ReadableStream({
      start: (controller) => void (this.#controller = controller),
      cancel: () => void (this.isCancelled = true),
    });
  }

  send(bytes: number): void {
    this.#controller?.enqueue(new Uint8Array(bytes).fill(97));
  }

  /** Whether what was sent has been read. */
  get isTaken(): boolean {
    return this.isCancelled || this.#controller?.desiredSize === 1;
  }

  end(): void {
    if (!this.isCancelled) this.#controller?.close();
  }

  break(): void {
    this.#controller?.error(new Error("the connection was reset"));
  }
}

const LIMITS: HoldLimits = { perAddress: 64 * KB, total: 128 * KB, graceMs: 60_000, bytesPerMs: 1, checkMs: 5 };

function sender(address: string, network = address): Sender {
  return { address, network, share: 1 };
}

/** Begins to read a body that has sent so much, and waits until that is held. */
async function opened(bodies: HeldBodies, from: Sender, bytes: number) {
  const body = new OpenBody();
  const result = bodies.read(new Request(ORIGIN, { method: "POST", body: body.stream }), 1024 * KB, from);
  let isOver = false;
  void result.then(() => (isOver = true));
  if (bytes > 0) body.send(bytes);
  await expect.poll(() => isOver || body.isTaken, { interval: 1 }).toBe(true);
  await new Promise((resolve) => setTimeout(resolve)); // what was taken is counted by then: no timer comes before promises that are resolved
  return { body, result, isOver: () => isOver };
}

describe("what is held of unfinished bodies", () => {
  test("ends when a body does not go on in time, and its sender is told", async () => {
    const bodies = new HeldBodies({ ...LIMITS, graceMs: 20, bytesPerMs: 1_000 });
    const { body, result } = await opened(bodies, sender("a"), 8 * KB);
    expect(await result).toEqual({ missing: "too_slow" });
    expect(bodies.total).toBe(0);
    await expect.poll(() => body.isCancelled).toBe(true);
  });

  test("goes on for as long as enough bytes arrive", async () => {
    const bodies = new HeldBodies({ ...LIMITS, bytesPerMs: 0.001 });
    const { body, result } = await opened(bodies, sender("a"), 8 * KB);
    const laterMs = Date.now() + 60 * 60_000; // its bytes may take two hours
    const looks = vi.spyOn(Date, "now").mockReturnValue(laterMs);
    await expect.poll(() => looks.mock.calls.length, { interval: 1 }).toBeGreaterThan(3);
    body.end();
    expect(await result).toHaveLength(8 * KB);
    expect(bodies.total).toBe(0);
  });

  test("ends when the sender breaks off", async () => {
    const bodies = new HeldBodies(LIMITS);
    const { body, result } = await opened(bodies, sender("a"), 8 * KB);
    body.break();
    expect(await result).toEqual({ missing: "gone" });
    expect(bodies.total).toBe(0);
  });

  test("has a limit for each address: its slowest body makes room for the next one, and no other address's", async () => {
    const bodies = new HeldBodies(LIMITS);
    const other = await opened(bodies, sender("b"), 30 * KB);
    const slow = await opened(bodies, sender("a"), 30 * KB);
    const second = await opened(bodies, sender("a"), 30 * KB);
    const third = await opened(bodies, sender("a"), 30 * KB);
    expect(await slow.result).toEqual({ missing: "no_room" });
    expect(bodies.total).toBeLessThanOrEqual(LIMITS.total);
    for (const { body, result } of [other, second, third]) {
      body.end();
      expect(await result).toHaveLength(30 * KB);
    }
    expect(bodies.total).toBe(0);
  });

  test("has a limit for all: the network that holds most makes room, however many addresses it has", async () => {
    const bodies = new HeldBodies(LIMITS);
    const alone = await opened(bodies, sender("honest"), 30 * KB);
    const crowd: Awaited<ReturnType<typeof opened>>[] = [];
    for (let index = 0; index < 20; index += 1)
      crowd.push(await opened(bodies, sender(`crowd-${index}`, "crowd"), 20 * KB));
    expect(bodies.total).toBeLessThanOrEqual(LIMITS.total);
    await expect.poll(() => crowd.filter(({ isOver }) => !isOver()).length).toBeLessThanOrEqual(5);
    alone.body.end();
    expect(await alone.result).toHaveLength(30 * KB);
    for (const { body } of crowd) body.end();
    await Promise.all(crowd.map(({ result }) => result));
    expect(bodies.total).toBe(0);
  });

  test("counts bodies that send nothing", async () => {
    const bodies = new HeldBodies(LIMITS);
    const open = [];
    for (let index = 0; index < 50; index += 1) open.push(await opened(bodies, sender("a"), 0));
    expect(bodies.total).toBeLessThanOrEqual(LIMITS.perAddress);
    for (const { body } of open) body.end();
    await Promise.all(open.map(({ result }) => result));
  });

  test("takes hardly more room than there are bytes, also if each comes alone", async () => {
    const bodies = new HeldBodies(LIMITS);
    const { body, result } = await opened(bodies, sender("a"), 1);
    for (let index = 1; index < 20_000; index += 1) body.send(1);
    await expect.poll(() => bodies.total, { interval: 1 }).toBeGreaterThanOrEqual(20_000);
    expect(bodies.total).toBeLessThan(2 * 20_000);
    body.end();
    expect(await result).toHaveLength(20_000);
  });
});

describe("at the gate, a stranger", () => {
  const post = (path: string, body: OpenBody, headers: Record<string, string> = {}) =>
    knock(`${ORIGIN}${path}`, {
      method: "POST",
      body: body.stream,
      headers: { "content-type": "text/plain", ...headers },
    });

  test.each<[string, Record<string, string>]>([
    ["in chunks", {}],
    ["of a stated length", { "content-length": "100000" }],
  ])("who does not finish a body %s is refused", async (_, headers) => {
    const body = new OpenBody();
    const before = heldBodies.total;
    const answer = post("/sign-in", body, { "cf-connecting-ip": "203.0.113.70", ...headers });
    body.send(10_000);
    await expect.poll(() => heldBodies.total).toBeGreaterThan(before);
    const laterMs = Date.now() + 30_000;
    vi.spyOn(Date, "now").mockReturnValue(laterMs);
    expect(await codeOf(await answer)).toBe("invalid_request");
    expect(heldBodies.total).toBe(before);
  });

  test("who leaves many large bodies unfinished loses the oldest of them, and others are served", async () => {
    const before = heldBodies.total;
    const bodies = Array.from({ length: 12 }, () => new OpenBody());
    const answers = bodies.map((body) => post("/oauth/token", body, { "cf-connecting-ip": "203.0.113.71" }));
    for (const body of bodies) body.send(1_000_000);
    const first = await answers[0];
    expect([first?.status, first?.headers.get("x-operator-error")]).toEqual([429, "too_many_requests"]);
    expect(heldBodies.total - before).toBeLessThanOrEqual(4 * 1024 * KB);
    const other = new OpenBody();
    const served = post("/oauth/token", other, { "cf-connecting-ip": "198.51.100.71" });
    other.send(10);
    other.end();
    expect((await served).status).toBeLessThan(429);
    for (const body of bodies) body.end();
    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThanOrEqual(8);
    expect(heldBodies.total).toBe(before);
  });
});
