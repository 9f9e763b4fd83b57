import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Credit, InboundBody, sendBytes } from "#protocol/body.ts";
import { CHUNK_BYTES, WINDOW_BYTES, WINDOW_STEP_BYTES } from "#protocol/limits.ts";

/** Lets every promise that can settle do so; nothing here waits for time. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  const note = (): void => {
    pending = false;
  };
  promise.then(note, note);
  await settle();
  return pending;
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

function inbound(): {
  body: InboundBody;
  granted: number[];
  cancelled: unknown[];
  reader: ReadableStreamDefaultReader<Uint8Array>;
} {
  const granted: number[] = [];
  const cancelled: unknown[] = [];
  const body = new InboundBody(
    (credit) => granted.push(credit),
    (reason) => cancelled.push(reason),
  );
  return { body, granted, cancelled, reader: body.stream.getReader() };
}

async function readAll(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<number[]> {
  const all: number[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return all;
    all.push(...value);
  }
}

describe("credit", () => {
  it("is given as far as it goes, and then callers wait", async () => {
    const credit = new Credit(10);
    expect(await credit.take(7)).toBe(7);
    expect(await credit.take(7)).toBe(3);
    const waiting = credit.take(7);
    expect(await isPending(waiting)).toBe(true);
    credit.grant(5);
    expect(await waiting).toBe(5);
  });

  it("of zero bytes ends no wait", async () => {
    const credit = new Credit(0);
    const waiting = credit.take(1);
    credit.grant(0);
    expect(await isPending(waiting)).toBe(true);
    credit.grant(1);
    expect(await waiting).toBe(1);
  });

  it("that failed ends the wait with the reason, and later waits with the same reason", async () => {
    const credit = new Credit(0);
    const waiting = credit.take(1);
    const first = new Error("first");
    credit.fail(first);
    credit.fail(new Error("second"));
    await expect(waiting).rejects.toBe(first);
    await expect(credit.take(1)).rejects.toBe(first);
  });
});

describe("a body's bytes", () => {
  it("are sent in chunks of limited size, complete and in order", async () => {
    const sent: Uint8Array[] = [];
    const whole = Uint8Array.from({ length: 2 * CHUNK_BYTES + 5 }, (_, index) => index % 251);
    await sendBytes(whole, new Credit(), (chunk) => sent.push(chunk));
    expect(sent.map(({ length }) => length)).toEqual([CHUNK_BYTES, CHUNK_BYTES, 5]);
    expect(Buffer.concat(sent).equals(whole)).toBe(true);
  });

  it("stop when the credit fails, and the sender is told", async () => {
    const credit = new Credit(3);
    const sent: Uint8Array[] = [];
    const sending = sendBytes(bytes(1, 2, 3, 4, 5), credit, (chunk) => sent.push(chunk));
    const failed = expect(sending).rejects.toThrow("over");
    await settle();
    credit.fail(new Error("over"));
    await failed;
    expect(Buffer.concat(sent)).toEqual(Buffer.from([1, 2, 3]));
  });

  it("arrive complete and in order, with at most a window in flight, however sending and reading alternate", async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 3 * CHUNK_BYTES }), { minLength: 1, maxLength: 8 });
    const turns = fc.array(fc.constantFrom("deliver", "credit", "read"), { minLength: 5, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(sizes, turns, async (lengths, order) => {
        const whole = Uint8Array.from(
          { length: lengths.reduce((sum, one) => sum + one, 0) },
          (_, index) => index % 251,
        );
        const credit = new Credit();
        const onTheWay: Uint8Array[] = [];
        const credits: number[] = [];
        let sent = 0;
        let returned = 0;
        let most = 0;
        const body = new InboundBody(
          (amount) => credits.push(amount),
          () => undefined,
        );
        const reader = body.stream.getReader();
        const send = async (): Promise<void> => {
          let at = 0;
          for (const length of lengths) {
            await sendBytes(whole.subarray(at, at + length), credit, (chunk) => {
              onTheWay.push(chunk);
              sent += chunk.length;
              most = Math.max(most, sent - returned);
            });
            at += length;
          }
        };
        const sending = send();
        const received: Uint8Array[] = [];
        let reading: Promise<void> | null = null;
        const read = (): void => {
          reading ??= reader.read().then(({ value }) => {
            if (value !== undefined) received.push(value);
            reading = null;
            return undefined;
          });
        };
        const turn = {
          deliver: () => {
            const chunk = onTheWay.shift();
            if (chunk !== undefined && !body.push(chunk)) throw new Error("more than the window came");
          },
          credit: () => {
            const amount = credits.shift();
            if (amount === undefined) return;
            returned += amount;
            credit.grant(amount);
          },
          read,
        };
        const total = (): number => received.reduce((sum, { length }) => sum + length, 0);
        for (let step = 0; total() < whole.length; step += 1) {
          turn[order[step % order.length] ?? "read"]();
          // Every order comes to an end: now and then each of the three has its turn.
          if (step % order.length === 0) for (const one of [turn.deliver, turn.read, turn.credit]) one();
          await settle();
          if (step > 20_000) throw new Error(`stuck after ${total()} of ${whole.length} bytes`);
        }
        await sending;
        body.end();
        expect(most).toBeLessThanOrEqual(WINDOW_BYTES);
        expect(Buffer.concat(received).equals(whole)).toBe(true);
        expect((await reader.read()).done).toBe(true);
      }),
      { numRuns: 40 },
    );
  });
});

describe("an incoming body", () => {
  it("costs no window frame if it is small", async () => {
    const { body, granted, reader } = inbound();
    body.push(new Uint8Array(WINDOW_STEP_BYTES - 1));
    await reader.read();
    expect(granted).toEqual([]);
    body.push(bytes(1));
    await reader.read();
    expect(granted).toEqual([WINDOW_STEP_BYTES]);
  });

  it("returns no credit for bytes that nobody has read", async () => {
    const { body, granted } = inbound();
    for (let taken = 0; taken < WINDOW_BYTES; taken += CHUNK_BYTES)
      expect(body.push(new Uint8Array(CHUNK_BYTES))).toBe(true);
    await settle();
    expect(granted).toEqual([]);
    expect(body.push(bytes(1))).toBe(false);
  });

  it("counts bytes as in flight until their credit was returned", async () => {
    const { body, reader } = inbound();
    body.push(new Uint8Array(WINDOW_STEP_BYTES - 1));
    await reader.read();
    expect(body.push(new Uint8Array(WINDOW_BYTES - WINDOW_STEP_BYTES + 1))).toBe(true);
    expect(body.push(bytes(1))).toBe(false);
  });

  it("can be read to its end after the end arrived", async () => {
    const { body, reader } = inbound();
    body.push(bytes(1, 2));
    body.push(bytes(3));
    body.end();
    expect(await readAll(reader)).toEqual([1, 2, 3]);
  });

  it("ends for a reader that is already waiting", async () => {
    const { body, reader } = inbound();
    const reading = reader.read();
    await settle();
    body.end();
    expect((await reading).done).toBe(true);
  });

  it("rejects the waiting read when it fails, and drops unread bytes", async () => {
    const { body, reader } = inbound();
    body.push(bytes(1));
    const reason = new Error("link lost");
    body.fail(reason);
    await expect(reader.read()).rejects.toBe(reason);
    body.end();
    body.endWith(bytes(9));
    expect(body.push(bytes(2))).toBe(true);
  });

  it("does not fail after its end was read", async () => {
    const { body, reader } = inbound();
    body.push(bytes(1));
    body.end();
    expect(await readAll(reader)).toEqual([1]);
    body.fail(new Error("too late"));
    expect((await reader.read()).done).toBe(true);
  });

  it("appends a closing word for its reader when its sender is lost, after all bytes that arrived", async () => {
    const { body, reader } = inbound();
    body.push(bytes(1));
    body.push(bytes(2));
    body.endWith(bytes(9));
    expect(await readAll(reader)).toEqual([1, 2, 9]);
  });

  it("gives that word to a waiting reader even if the window is full", async () => {
    const { body, reader } = inbound();
    const waiting = reader.read();
    await settle();
    body.endWith(bytes(9));
    expect((await waiting).value).toEqual(bytes(9));
    expect((await reader.read()).done).toBe(true);
    const full = inbound();
    full.body.push(new Uint8Array(WINDOW_BYTES));
    full.body.endWith(bytes(9));
    await full.reader.read();
    expect((await full.reader.read()).value).toEqual(bytes(9));
  });

  it("reports once that its reader left, and discards what still arrives", async () => {
    const { body, cancelled, granted, reader } = inbound();
    body.push(bytes(1));
    await reader.cancel("enough");
    expect(cancelled).toEqual(["enough"]);
    for (let sent = 0; sent < 3 * WINDOW_BYTES; sent += CHUNK_BYTES)
      expect(body.push(new Uint8Array(CHUNK_BYTES))).toBe(true);
    body.end();
    expect(cancelled).toHaveLength(1);
    expect(granted).toEqual([]);
  });

  it("keeps the chunks of a sender of single bytes together, complete and in order", async () => {
    const { body, reader } = inbound();
    let sent = 0;
    while (body.push(bytes(sent % 251))) sent += 1;
    expect(sent).toBe(WINDOW_BYTES);
    body.end();
    const chunks: Uint8Array[] = [];
    for (let next = await reader.read(); !next.done; next = await reader.read()) chunks.push(next.value);
    // Kept one by one, they take 25 MB, and half a minute to read.
    expect(chunks.length).toBeLessThan(100);
    const all = Buffer.from(Array.from({ length: WINDOW_BYTES }, (_, at) => at % 251));
    expect(Buffer.concat(chunks).equals(all)).toBe(true);
  });

  it("ignores an empty chunk", async () => {
    const { body, reader } = inbound();
    body.push(new Uint8Array(0));
    body.push(bytes(1));
    body.end();
    expect((await reader.read()).value).toEqual(bytes(1));
  });
});
