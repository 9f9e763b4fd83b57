import { abortAllDurableObjects } from "cloudflare:test";
import { afterEach, describe, expect, it } from "vitest";
import { Return } from "../../../../machine-template/src/link/return.ts";
import { ask, forget, state, TestConnector } from "../support/connector.ts";

afterEach(forget);

const call = (id: number, signal?: AbortSignal): Promise<Response> => {
  const body = JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call" });
  return ask("/mcp", { method: "POST", body, ...(signal === undefined ? {} : { signal }) });
};

describe("a script that was restarted while its machine was linked", () => {
  it("holds calls until the machine has dialled again, which sees each of them once", async () => {
    await TestConnector.greeted();
    await abortAllDurableObjects();
    const answers = [call(1), call(2)];
    expect(await state()).toMatchObject({ online: false });
    const back = await TestConnector.greeted();
    for (const _ of answers) back.respondJson((await back.request()).exchange, { id: 1, result: {} });
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200]);
    expect(back.frames).toEqual([]);
  });

  it("drops a call whose caller has left meanwhile, or has lost access", async () => {
    await TestConnector.greeted();
    await abortAllDurableObjects();
    const left = new AbortController();
    const dropped = call(1, left.signal).catch(() => null);
    expect(await state()).toMatchObject({ online: false });
    left.abort();
    await dropped;
    const waits = call(2);
    expect(await state()).toMatchObject({ online: false });
    const back = await TestConnector.greeted();
    const { exchange } = await back.request();
    back.respondJson(exchange, { id: 2, result: {} });
    expect((await waits).status).toBe(200);
    expect(back.frames).toEqual([]);
  });

  it("does not hold the calls of a machine that was not linked", async () => {
    await (await TestConnector.greeted()).leave();
    await abortAllDurableObjects();
    expect(await (await call(1)).json()).toMatchObject({ error: { data: { code: "machine_offline" } } });
  });
});

describe("the wait for a machine's return", () => {
  it("ends after its time, counted from the script's start", async () => {
    const nowMs = 1_000_000;
    const wait = new Return(true, nowMs);
    expect([wait.isAwaited(nowMs + 2_999), wait.isAwaited(nowMs + 3_000)]).toEqual([true, false]);
    await expect(wait.wait(nowMs + 2_999)).resolves.toBeUndefined();
    expect(new Return(false, nowMs).isAwaited(nowMs)).toBe(false);
  });

  it("is over when the clock is set back, however far", async () => {
    const nowMs = 1_000_000;
    const wait = new Return(true, nowMs);
    expect([wait.isAwaited(nowMs), wait.isAwaited(nowMs - 1), wait.isAwaited(0)]).toEqual([true, false, false]);
    await expect(wait.wait(0)).resolves.toBeUndefined();
  });
});
