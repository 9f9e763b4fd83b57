import { aroundEach, describe, expect, it, vi } from "vitest";
import type { Frame } from "#protocol/frame.ts";
import { decodeFrame, encodeFrame, FrameKind } from "#protocol/frame.ts";
import { RESPONSE_TIMEOUT_MS } from "#protocol/limits.ts";
import type { Exchange } from "../../../../machine-template/src/link/exchange.ts";
import { Multiplexer } from "../../../../machine-template/src/link/multiplexer.ts";
import { onOwnTimers } from "../../../support/own-timers.ts";

/** Overdue exchanges are looked for every few seconds. */
const LATE_MS = RESPONSE_TIMEOUT_MS + 10_000;

aroundEach((runTest) => onOwnTimers(runTest));

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A call over a link whose frames are kept, and its machine's side. */
async function begun(): Promise<{
  exchange: Exchange;
  sent: Frame[];
  answer(type: string): void;
  body(text: string): void;
}> {
  const sent: Frame[] = [];
  const multiplexer = new Multiplexer("attic", {
    send: (bytes) => {
      const frame = decodeFrame(bytes);
      if (frame !== null) sent.push(frame);
    },
    isAlive: () => true,
  });
  const exchange = multiplexer.begin(() => null);
  await exchange.open(new Request("http://machine/mcp", { method: "POST" }), "/mcp", encode("{}"));
  const receive = (frame: Frame): void => expect(multiplexer.receive(encodeFrame(frame))).toBe(true);
  return {
    exchange,
    sent,
    answer: (type) =>
      receive({
        kind: FrameKind.RESPONSE,
        exchange: exchange.id,
        end: false,
        head: { status: 200, headers: [["content-type", type]] },
        body: encode("begin"),
      }),
    body: (text) => receive({ kind: FrameKind.BODY, exchange: exchange.id, end: false, body: encode(text) }),
  };
}

const cancels = (sent: readonly Frame[]): number => sent.filter(({ kind }) => kind === FrameKind.CANCEL).length;

describe("a call whose machine says nothing more", () => {
  it("fails when the head of the answer is overdue, and the machine is told", async () => {
    const { exchange, sent } = await begun();
    const failed = expect(exchange.response).rejects.toMatchObject({ error: { code: "machine_timeout" } });
    await vi.advanceTimersByTimeAsync(RESPONSE_TIMEOUT_MS - 1_000);
    expect(cancels(sent)).toBe(0);
    await vi.advanceTimersByTimeAsync(11_000);
    await failed;
    expect(cancels(sent)).toBe(1);
  });

  it("fails in the middle of a body, counted from its last part and while its reader waits", async () => {
    const { exchange, sent, answer, body } = await begun();
    answer("application/json");
    const reader = (await exchange.response).body?.getReader();
    // Nobody reads yet, so the machine owes nothing.
    await vi.advanceTimersByTimeAsync(2 * LATE_MS);
    expect(await reader?.read()).toMatchObject({ done: false });
    const second = reader?.read();
    await vi.advanceTimersByTimeAsync(RESPONSE_TIMEOUT_MS - 10_000);
    body("more");
    expect(await second).toMatchObject({ done: false });
    const third = expect(reader?.read()).rejects.toMatchObject({ error: { code: "machine_timeout" } });
    await vi.advanceTimersByTimeAsync(RESPONSE_TIMEOUT_MS - 10_000);
    expect(cancels(sent)).toBe(0);
    await vi.advanceTimersByTimeAsync(20_000);
    await third;
    expect(cancels(sent)).toBe(1);
  });

  it("goes on if it is answered with an event stream, which may be silent", async () => {
    const { exchange, sent, answer, body } = await begun();
    answer("text/event-stream");
    const reader = (await exchange.response).body?.getReader();
    await reader?.read();
    const next = reader?.read();
    await vi.advanceTimersByTimeAsync(4 * LATE_MS);
    expect(cancels(sent)).toBe(0);
    body("data: 1\n\n");
    expect(await next).toMatchObject({ done: false });
    exchange.cancel(new Error("the test is over"));
  });
});
