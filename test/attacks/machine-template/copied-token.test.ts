import { afterEach, describe, expect, it, vi } from "vitest";
import { CloseCode } from "#protocol/close-code.ts";
import { LINK_SILENCE_MS } from "#protocol/limits.ts";
import { fingerprintOf } from "#protocol/link-key.ts";
import { app } from "../../../machine-template/src/app.ts";
import {
  ask,
  dial,
  env,
  FACTS,
  forget,
  knock,
  page,
  state,
  TestConnector,
} from "../../machine-template/src/support/connector.ts";
import { DIAL, issue, LinkPair, tokenFor } from "../../machine-template/src/support/link-pair.ts";

/**
 * The link token was all that a connector had to show. Whoever had copied it from a backup, a log or a screen could be the
 * machine until its owner rotated it, and nobody was told.
 */

afterEach(async () => {
  vi.useRealTimers();
  await forget();
});

/** A machine whose link is bound, with its connector, its token and its key. */
async function bound(): Promise<{ pair: LinkPair; token: string; link: TestConnector }> {
  const pair = await LinkPair.make();
  const token = await issue(80, { key: pair.key });
  return { pair, token, link: await pair.greeted(token) };
}

/** The link carries a call, so it was not replaced. */
async function works(link: TestConnector): Promise<void> {
  const answer = ask("/mcp", { method: "POST", body: "{}" });
  link.respond((await link.request()).exchange, {}, "still here");
  expect(await (await answer).text()).toBe("still here");
  expect(link.closed).toBeNull();
}

async function refusals(): Promise<unknown[]> {
  const { events } = await page({ epoch: "", seq: 0 });
  return events.filter(({ type }) => type === "link.key_refused").map(({ data }) => data);
}

describe("a thief with a copied token", () => {
  it("but no key is refused, the machine's link stays, and its person is notified", async () => {
    const { token, link } = await bound();
    const thief = await TestConnector.open(token);
    thief.hello("stream-of-the-thief");
    expect(await thief.ended()).toMatchObject({
      code: CloseCode.REVOKED,
      reason: expect.stringContaining("bound to a key"),
    });
    expect(thief.words.map(({ type }) => type)).toEqual(["goodbye"]);
    await works(link);
    await expect.poll(refusals).toEqual([{ count: 1, lastMs: expect.any(Number), key: null }]);
    expect((await state()).link?.refused).toMatchObject({ count: 1, key: null });
  });

  it("and their own key is refused, and the notice shows its fingerprint", async () => {
    const { token, link } = await bound();
    const thief = await LinkPair.make();
    const dialled = await thief.dial(token, { connector: "t", start: 99, number: 99 });
    expect((await dialled.ended()).code).toBe(CloseCode.REVOKED);
    await works(link);
    await expect
      .poll(refusals)
      .toEqual([{ count: 1, lastMs: expect.any(Number), key: await fingerprintOf(thief.key) }]);
  });

  it("and the machine's public key cannot prove that they hold the private one", async () => {
    const { pair, token, link } = await bound();
    const thief = await LinkPair.make();
    const dialled = await TestConnector.open(token);
    dialled.say({ ...(await thief.hello(dialled, token)), key: pair.key });
    expect((await dialled.ended()).code).toBe(CloseCode.BAD_FRAME);
    await works(link);
  });

  it.each([
    ["as it was", {}],
    ["as a later dial", { dial: { ...DIAL, number: 99 } }],
    ["in another event stream", { stream: "stream-2" }],
  ])(
    "and a recorded hello of the machine cannot replay it, %s, because its proof is for one socket",
    async (_, changed) => {
      const pair = await LinkPair.make();
      const token = await issue(80, { key: pair.key });
      const link = await TestConnector.open(token);
      const recorded = await pair.hello(link, token);
      link.say(recorded);
      await link.word("welcome");
      const thief = await TestConnector.open(token);
      thief.say({ ...recorded, ...changed });
      expect((await thief.ended()).code).toBe(CloseCode.BAD_FRAME);
      await works(link);
    },
  );

  it("cannot get a proof from a machine that signs challenges for another token", async () => {
    const { pair, token, link } = await bound();
    const thief = await TestConnector.open(token);
    const hello = await pair.hello(thief, "a token of another Operator");
    thief.say(hello);
    expect((await thief.ended()).code).toBe(CloseCode.BAD_FRAME);
    await works(link);
  });

  it("who keeps dialling causes one notice per ten minutes, and cannot fill the log", async () => {
    const { token, link } = await bound();
    for (let dials = 0; dials < 20; dials += 1) {
      const thief = await TestConnector.open(token);
      thief.hello();
      await thief.ended();
    }
    await works(link);
    await expect.poll(refusals).toHaveLength(1);
  });

  it("cannot keep up a link whose machine is gone by talking on a socket of their own", async () => {
    const { token } = await bound();
    const thief = await TestConnector.open(token);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + LINK_SILENCE_MS + 1_000 });
    thief.say({ ...(await (await LinkPair.make()).hello(thief, token)), proof: undefined });
    await thief.word("challenge");
    expect((await state()).online).toBe(false);
  });

  it("has nothing stored that they say before a proof", async () => {
    const { token, link } = await bound();
    const said = [
      { type: "facts", facts: { ...FACTS, hostname: "of-the-thief" } },
      { type: "event", first: 1, events: [{ atMs: 1, type: "session.created", session: "forged", data: {} }] },
    ];
    for (const word of said) {
      const thief = await TestConnector.open(token);
      thief.say(word);
      expect((await thief.ended()).code).toBe(CloseCode.BAD_FRAME);
    }
    expect((await state()).facts?.hostname).toBe(FACTS.hostname);
    expect((await page({ epoch: "", seq: 0 })).events.map(({ type }) => type)).not.toContain("session.created");
    await works(link);
  });

  it("cannot read the machine's facts with a plain request", async () => {
    const { token } = await bound();
    const response = await knock("/link", { headers: { authorization: `Bearer ${token}` } });
    expect(await response.json()).toMatchObject({ online: true, facts: null });
    expect(FACTS.hostname).not.toBe("");
  });

  it("is locked out once the machine has dialled with its renewed token, even with a copy of its key", async () => {
    const pair = await LinkPair.make();
    const stolen = await issue(50, { key: pair.key });
    const renewed = (await (await pair.greeted(stolen)).word("token")).token;
    await pair.greeted(renewed, { ...DIAL, number: 2 });
    await expect.poll(async () => (await dial(stolen)).status).toBe(401);
  });
});

describe("a stranger", () => {
  /** The script with an object that must not be reached. */
  async function knockAsleep(authorization: string): Promise<number> {
    const MACHINE = {
      getByName: () => {
        throw new Error("the object was woken");
      },
    } as unknown as DurableObjectNamespace;
    const headers = { upgrade: "websocket", authorization };
    return (await app.fetch(new Request("http://machine/link", { headers }), { ...env, MACHINE })).status;
  }

  it.each<[string, () => Promise<string>]>([
    ["a token of the old form", async () => `opl_${"a".repeat(43)}`],
    ["a token of the new form with a made-up mac", async () => `opl_${"a".repeat(43)}.${"zzzzzz"}.${"b".repeat(43)}`],
    ["an expired token", () => tokenFor(-1)],
    ["an expired token with a later date", async () => (await tokenFor(-1)).replace(/\.[0-9a-z]{6}\./, ".zzzzzz.")],
    ["a very long one", async () => "x".repeat(512)],
  ])("with %s does not wake the object", async (_, make) => {
    expect(await knockAsleep(`Bearer ${await make()}`)).toBe(401);
  });

  it("can wake it only with a token that this Operator issued to the owner", async () => {
    await expect(knockAsleep(`Bearer ${await tokenFor(1)}`)).rejects.toThrow("woken");
  });
});
