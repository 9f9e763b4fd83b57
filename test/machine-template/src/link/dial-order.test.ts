import { afterEach, describe, expect, it } from "vitest";
import { CloseCode } from "#protocol/close-code.ts";
import { isOlder, type Caller } from "../../../../machine-template/src/link/dial-order.ts";
import { ask, forget, state, TestConnector } from "../support/connector.ts";

afterEach(forget);

function caller(connector: string, start: number, number: number, stream = "s"): Caller {
  return { stream, dial: { connector, start, number } };
}

describe("a dial is older", () => {
  it.each([
    ["than a later one of its process", caller("a", 1, 1), caller("a", 1, 2), true],
    ["not than itself", caller("a", 1, 2), caller("a", 1, 2), false],
    ["not than an earlier one of its process", caller("a", 1, 3), caller("a", 1, 2), false],
    ["than any of a process of its stream that was started later", caller("a", 1, 9), caller("b", 2, 1), true],
    ["not than one of a process that was started earlier", caller("b", 2, 1), caller("a", 1, 9), false],
    ["not than one of a process that claims the same start", caller("b", 1, 1), caller("a", 1, 9), false],
    ["not than one of another stream, whatever the numbers", caller("a", 1, 1), caller("b", 9, 9, "other"), false],
    ["not than one without numbers", caller("a", 1, 1), undefined, false],
    ["not when it has no numbers itself", undefined, caller("a", 9, 9), false],
  ])("%s", (_, one, other, older) => {
    expect(isOlder(one, other)).toBe(older);
  });
});

describe("a hello that arrives late", () => {
  it.each([
    ["its own process's newer dial", { connector: "a", start: 1, number: 2 }],
    ["the process that was started in its place", { connector: "b", start: 2, number: 1 }],
  ])("never replaces %s, and is not told to stop permanently", async (_, newer) => {
    const late = await TestConnector.open();
    const link = await TestConnector.greeted("s", newer);
    late.hello("s", { connector: "a", start: 1, number: 1 });
    await late.until(() => late.closed !== null);
    expect(late.closed?.code).toBe(CloseCode.SUPERSEDED);
    expect(late.words.map(({ type }) => type)).toEqual(["goodbye"]);
    const asked = ask("/mcp", { method: "POST", body: "{}" });
    link.respond((await link.request()).exchange, {}, "still here");
    expect(await (await asked).text()).toBe("still here");
    expect(await state()).toMatchObject({ online: true, epoch: 1 });
  });

  it("becomes the link if there is no newer one, because counters go back when a backup is restored", async () => {
    const newer = await TestConnector.greeted("s", { connector: "b", start: 9, number: 9 });
    await newer.leave();
    await TestConnector.greeted("s", { connector: "a", start: 1, number: 1 });
    expect(await state()).toMatchObject({ online: true, epoch: 2 });
  });
});

describe("the older link is closed", () => {
  it.each([
    ["as superseded when both are the same connector's", "a", CloseCode.SUPERSEDED],
    ["as replaced when another connector took over", "b", CloseCode.REPLACED],
  ])("%s", async (_, connector, code) => {
    const older = await TestConnector.greeted("s", { connector: "a", start: 1, number: 1 });
    await TestConnector.greeted("s", { connector, start: 1, number: 2 });
    await older.until(() => older.closed !== null);
    expect(older.closed?.code).toBe(code);
    expect(await state()).toMatchObject({ online: true, epoch: 2 });
  });

  it("as replaced if neither names its dial, as older connectors do", async () => {
    const older = await TestConnector.greeted("s");
    await TestConnector.greeted("s");
    await older.until(() => older.closed !== null);
    expect(older.closed?.code).toBe(CloseCode.REPLACED);
  });
});
