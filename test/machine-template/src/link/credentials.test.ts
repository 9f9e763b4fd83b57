import { abortAllDurableObjects } from "cloudflare:test";
import { afterEach, describe, expect, it } from "vitest";
import { hex, sha256 } from "#protocol/bytes.ts";
import { CloseCode } from "#protocol/close-code.ts";
import { fingerprintOf } from "#protocol/link-key.ts";
import { expiryOf } from "#protocol/link-token.ts";
import { PROTOCOL_VERSION } from "#protocol/limits.ts";
import { Credentials } from "../../../../machine-template/src/link/credentials.ts";
import { ask, dial, env, FACTS, forget, page, state, TestConnector, within } from "../support/connector.ts";
import { change, DIAL, issue, LinkPair, tokenFor } from "../support/link-pair.ts";

afterEach(forget);

const DAY_MS = 24 * 60 * 60_000;

/** The events of the log about the link's credentials. */
async function linkEvents(): Promise<{ type: string; data: unknown }[]> {
  const { events } = await page({ epoch: "", seq: 0 });
  return events.filter(({ type }) => type.startsWith("link.")).map(({ type, data }) => ({ type, data }));
}

describe("a link", () => {
  it("is bound to the first key that is shown with its token, and reports it", async () => {
    const pair = await LinkPair.make();
    expect((await state()).link).toMatchObject({ key: null });
    await pair.greeted();
    await expect.poll(linkEvents).toEqual([{ type: "link.key_bound", data: { key: await fingerprintOf(pair.key) } }]);
    expect((await state()).link).toMatchObject({
      key: await fingerprintOf(pair.key),
      refused: null,
      takenOverMs: null,
    });
  });

  it("needs no key until one was shown, because connectors before 0.3 have none", async () => {
    await TestConnector.greeted();
    await (await TestConnector.greeted("stream-2")).leave();
    await TestConnector.greeted();
    expect((await state()).link).toEqual({ key: null, tokenExpiresMs: null, refused: null, takenOverMs: null });
  });

  it("stays bound after the object restarts", async () => {
    const pair = await LinkPair.make();
    await (await pair.greeted()).leave();
    await abortAllDurableObjects();
    const keyless = await TestConnector.open();
    keyless.hello("another-stream");
    expect((await keyless.ended()).code).toBe(CloseCode.REVOKED);
    await pair.greeted("link-token", { ...DIAL, number: 2 });
  });

  it("sends its challenge in a frame to a connector that did not read it in the head", async () => {
    const pair = await LinkPair.make();
    const connector = await TestConnector.open();
    const hello = {
      type: "hello",
      protocol: PROTOCOL_VERSION,
      stream: "stream-1",
      dial: DIAL,
      key: pair.key,
      facts: FACTS,
    };
    connector.say(hello);
    const { nonce } = await connector.word("challenge");
    expect(nonce).toBe(connector.nonce);
    connector.say({ ...hello, proof: await pair.prove(nonce, "link-token", "stream-1", DIAL) });
    expect(await connector.word("welcome")).toMatchObject({ epoch: 1 });
  });

  it("handles one hello at a time", async () => {
    const pair = await LinkPair.make();
    const connector = await TestConnector.open();
    const hello = await pair.hello(connector);
    connector.say(hello);
    connector.say(hello);
    expect((await connector.ended()).code).toBe(CloseCode.BAD_FRAME);
  });
});

describe("a token", () => {
  it("that was just issued works before the script's bindings have it, and from then on the previous one is refused", async () => {
    expect((await dial("link-token")).status).toBe(101);
    const token = await issue(90);
    expect((await dial("link-token")).status).toBe(401);
    const connector = await TestConnector.open(token);
    connector.hello();
    await connector.word("welcome");
  });

  it("that was issued before the last one changes nothing", async () => {
    const token = await issue(90);
    await issue(90, { issuedMs: Date.now() - 60_000 });
    expect((await dial(token)).status).toBe(101);
  });

  it("is refused after it expired, even if it was issued for this machine", async () => {
    const token = await issue(-1);
    expect((await dial(token)).status).toBe(401);
  });

  it("of the owner's other machine is refused", async () => {
    expect((await dial(await tokenFor(90))).status).toBe(401);
  });

  it("is renewed over the link, once, when less than two thirds of its life are left", async () => {
    const pair = await LinkPair.make();
    const token = await issue(59, { key: pair.key });
    const connector = await pair.greeted(token);
    const renewed = (await connector.word("token")).token;
    expect((expiryOf(renewed) ?? 0) - Date.now()).toBeGreaterThan(89 * DAY_MS);
    const next = await pair.greeted(token, { ...DIAL, number: 2 });
    await next.push(1, [{ type: "message" }]);
    expect(next.words.some(({ type }) => type === "token")).toBe(false);
  });

  it("that was issued for years without a key is replaced by one that expires once there is a key", async () => {
    const pair = await LinkPair.make();
    const renewed = (await (await pair.greeted(await issue(3_650))).word("token")).token;
    expect((expiryOf(renewed) ?? 0) - Date.now()).toBeLessThan(91 * DAY_MS);
  });

  it("from before tokens had an expiry is renewed as well", async () => {
    const pair = await LinkPair.make();
    expect((await (await pair.greeted()).word("token")).token).toMatch(/^opl_/);
  });

  it("stays valid until the connector has dialled with its renewed token, and no longer", async () => {
    const pair = await LinkPair.make();
    const renewed = (await (await pair.greeted()).word("token")).token;
    await pair.greeted("link-token", { ...DIAL, number: 2 });
    await pair.greeted(renewed, { ...DIAL, number: 3 });
    await expect.poll(async () => (await dial("link-token")).status).toBe(401);
    expect((await state()).link?.tokenExpiresMs).toBe(expiryOf(renewed));
  });

  it("that is replaced while it is renewed gets no successor", async () => {
    const { key } = await LinkPair.make();
    const shown = { tokenHash: hex(await sha256(await issue(50, { key }))), key };
    const replacement = { hash: hex(await sha256(await tokenFor(90))), expiresMs: null };
    await within(async (_, { storage }) => {
      const credentials = new Credentials(storage.kv, env, () => undefined);
      const [nowMs, { identity }] = [Date.now(), credentials.record];
      const renewal = credentials.renewal(shown, nowMs);
      await credentials.change({ change: "issue", issuedMs: nowMs, identity, token: replacement }, nowMs);
      expect([await renewal, credentials.record.tokens]).toEqual([null, [replacement]]);
    });
  });

  it("is not renewed while it is young, nor for a connector without a key", async () => {
    const pair = await LinkPair.make();
    const young = await pair.greeted(await issue(80, { key: pair.key }));
    await young.push(1, [{ type: "message" }]);
    expect(young.words.map(({ type }) => type)).toEqual(["welcome"]);
    await forget();
    const old = await TestConnector.greeted();
    await old.push(1, [{ type: "message" }]);
    expect(old.words.map(({ type }) => type)).toEqual(["welcome"]);
  });
});

describe("a takeover", () => {
  it("by another computer is announced and can be undone, after which the earlier token and key work again", async () => {
    const [mine, other] = [await LinkPair.make(), await LinkPair.make()];
    const myToken = await issue(80, { key: mine.key });
    const otherToken = await issue(80, { identity: "another-computer", key: other.key });
    expect((await dial(myToken)).status).toBe(401);
    await (await other.greeted(otherToken)).leave();
    expect((await state()).link).toMatchObject({
      key: await fingerprintOf(other.key),
      takenOverMs: expect.any(Number),
    });

    const restored = await change({ change: "restore", issuedMs: Date.now() + 1 });
    expect(restored).toMatchObject({ identity: "identity-of-attic", key: mine.key, earlier: null });
    expect((await dial(otherToken)).status).toBe(401);
    await mine.greeted(myToken);
    expect((await linkEvents()).map(({ type }) => type)).toEqual(["link.taken_over", "link.restored"]);
  });

  it("cannot be undone if it never happened", async () => {
    const before = await issue(80);
    const unchanged = await change({ change: "restore", issuedMs: Date.now() + 1 });
    expect(unchanged.issuedMs).toBeLessThan(Date.now() + 1);
    expect((await dial(before)).status).toBe(101);
  });

  it("without a key of its own leaves the link unbound: the next dial binds it", async () => {
    const [mine, other] = [await LinkPair.make(), await LinkPair.make()];
    await issue(80, { key: mine.key });
    const token = await issue(80, { identity: "another-computer" });
    await other.greeted(token);
    await expect.poll(async () => (await state()).link?.key).toBe(await fingerprintOf(other.key));
  });
});

describe("a new key of the same computer", () => {
  it("replaces the previous one when a person confirms it, is announced, and can be undone", async () => {
    const [before, after] = [await LinkPair.make(), await LinkPair.make()];
    const token = await issue(80, { key: before.key });
    await change({ change: "rebind", issuedMs: Date.now() + 1, key: after.key });
    await (await after.greeted(token)).leave();
    expect((await (await before.dial(token, { ...DIAL, number: 2 })).ended()).code).toBe(CloseCode.REVOKED);
    await change({ change: "restore", issuedMs: Date.now() + 2 });
    await before.greeted(token, { ...DIAL, number: 3 });
    expect((await linkEvents()).map(({ type }) => type)).toEqual([
      "link.key_changed",
      "link.key_refused",
      "link.restored",
    ]);
  });

  it("changes nothing if a later token was issued meanwhile", async () => {
    const [before, late] = [await LinkPair.make(), await LinkPair.make()];
    const token = await issue(80, { key: before.key });
    await change({ change: "rebind", issuedMs: 1, key: late.key });
    await before.greeted(token);
  });

  it("changes nothing while the link is not bound, because an old connector may be using it", async () => {
    await change({ change: "rebind", issuedMs: Date.now() + 1, key: (await LinkPair.make()).key });
    await TestConnector.greeted();
  });
});

describe("the credentials of a renamed machine", () => {
  it("move with it to its new script", async () => {
    const pair = await LinkPair.make();
    const token = await issue(80, { key: pair.key });
    const credentials = await (await ask("/operator/credentials")).json();
    await forget();
    expect((await dial(token)).status).toBe(401);
    await change({ change: "move", credentials } as Parameters<typeof change>[0]);
    await pair.greeted(token);
  });
});
