import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { describe, expect, it } from "vitest";
import { CloseCode } from "#protocol/close-code.ts";
import { isProof } from "#protocol/link-key.ts";
import { makeLinkToken } from "#protocol/link-token.ts";
import type { LinkSigner } from "../../../scripts/connector/index.ts";
import { REFUSAL_GRACE_MS } from "../../../scripts/connector/connector.ts";
import { connectHttp, type Connected } from "./support/connected.ts";
import { ManualClock } from "./support/manual-clock.ts";
import { Retries } from "./support/retries.ts";

/** A key pair that counts what it signs. */
function signer(): LinkSigner & { signed: number } {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return {
    signed: 0,
    publicKey: publicKey.export({ format: "jwk" }).x ?? "",
    sign(text) {
      this.signed += 1;
      return sign(null, text, privateKey).toString("base64url");
    },
  };
}

const CHALLENGE = randomBytes(32).toString("base64url");

const DAY_MS = 24 * 60 * 60_000;

/** A connector with a key. `challenge`: in the head of the script's answers from the second dial on. */
async function keyed(
  key: LinkSigner | null,
  renewed: (token: string, formerToken: string) => void = () => undefined,
): Promise<Connected> {
  return connectHttp((_, response) => void response.end(), {
    credentialsAt: (linkUrl) => Promise.resolve({ linkUrl, token: "right-token", key }),
    renewed,
  });
}

/** Whether a hello proves `key` for this challenge. */
function proves({ hello }: Connected["link"], key: LinkSigner, nonce: string): Promise<boolean> {
  const { proof = "", stream, dial } = hello;
  const tokenHash = createHash("sha256").update("right-token").digest("hex");
  if (dial === undefined || hello.key !== key.publicKey) return Promise.resolve(false);
  return isProof(proof, key.publicKey, { nonce, tokenHash, stream, dial });
}

describe("a connector with a key", () => {
  it("sends its public key without a proof to a script that sends no challenge", async () => {
    const key = signer();
    await using connected = await keyed(key);
    expect(connected.link.hello).toMatchObject({ key: key.publicKey });
    expect(connected.link.hello.proof).toBeUndefined();
    expect(key.signed).toBe(0);
  });

  it("proves its key in its first frame if the challenge came with the answer to the upgrade", async () => {
    const key = signer();
    await using connected = await keyed(key);
    connected.script.challenge = CHALLENGE;
    connected.link.socket.terminate();
    const next = await connected.script.link();
    expect(await proves(next, key, CHALLENGE)).toBe(true);
    expect(await proves(next, key, randomBytes(32).toString("base64url"))).toBe(false);
  });

  it.each(["", "short", "x".repeat(5000), `${"a".repeat(42)}=`])(
    "ignores an invalid challenge: %.20s",
    async (challenge) => {
      const key = signer();
      await using connected = await keyed(key);
      connected.script.challenge = challenge;
      connected.link.socket.terminate();
      expect((await connected.script.link()).hello.proof).toBeUndefined();
      expect(key.signed).toBe(0);
    },
  );

  it("signs nothing for a script that has already welcomed it", async () => {
    const key = signer();
    await using connected = await keyed(key);
    connected.link.say({ type: "challenge", nonce: CHALLENGE });
    expect((await connected.link.closed).code).toBe(CloseCode.BAD_FRAME);
    expect(key.signed).toBe(0);
  });
});

it("a connector without a key sends none, like connectors before 0.3", async () => {
  await using connected = await keyed(null);
  expect(connected.link.hello.key).toBeUndefined();
});

describe("a new token over the link", () => {
  it("is passed on to be saved, with the one that it replaces", async () => {
    const saved: string[][] = [];
    await using connected = await keyed(signer(), (...tokens) => saved.push(tokens));
    const token = await makeLinkToken("secret", Date.now() + 90 * DAY_MS);
    connected.link.say({ type: "token", token });
    await expect.poll(() => saved).toEqual([[token, "right-token"]]);
  });

  it("is saved once a minute at most, so a hostile script cannot keep the disk busy", async () => {
    const saved: string[] = [];
    await using connected = await keyed(signer(), (token) => saved.push(token));
    for (let count = 0; count < 50; count += 1)
      connected.link.say({ type: "token", token: await makeLinkToken("secret", Date.now() + count * DAY_MS) });
    const done = connected.link.call();
    await done;
    expect(saved).toHaveLength(1);
  });

  it.each(["", "opl_x", "x".repeat(600), "../../etc/passwd", '"},"target":{"kind":"command"'])(
    "ends the link if it is invalid: %.30s",
    async (token) => {
      const saved: string[] = [];
      await using connected = await keyed(signer(), (given) => saved.push(given));
      connected.link.say({ type: "token", token });
      expect((await connected.link.closed).code).toBe(CloseCode.BAD_FRAME);
      expect(saved).toEqual([]);
    },
  );
});

it("an expired token is reported as expired, with the time", async () => {
  const expiredMs = Math.floor(Date.now() / 1000) * 1000 - DAY_MS;
  const expired = await makeLinkToken("secret", expiredMs);
  let token = "right-token";
  await using connected = await connectHttp((_, response) => void response.end(), {
    credentialsAt: (linkUrl) => Promise.resolve({ linkUrl, token }),
    refusalGraceMs: 0,
  });
  token = expired;
  connected.link.socket.terminate();
  expect(await connected.stopped).toEqual({ reason: "expired", expiredMs });
});

describe("the token before the renewed one", () => {
  type Tokens = { readonly token: string; readonly formerToken?: string };

  const NEWER: Tokens = { token: "renewed-token", formerToken: "right-token" };

  /** A connector whose token was renewed, and whose Operator is then restored from a backup of before. `pass` lets it dial again. */
  async function restored(later = NEWER): Promise<Connected & { readonly clock: ManualClock; pass(): Promise<void> }> {
    let tokens: Tokens = { ...later, token: "right-token" };
    const clock = new ManualClock();
    const retries = new Retries(clock);
    const connected = await connectHttp((_, response) => void response.end("{}"), {
      clock,
      random: () => 0.5,
      listener: retries.listener,
      credentialsAt: (linkUrl) => Promise.resolve({ linkUrl, ...tokens, key: signer() }),
    });
    tokens = later;
    return { ...connected, clock, pass: async () => clock.advance(await retries.next()) };
  }

  const shownTo = ({ script }: Connected): unknown =>
    script.headers.map(({ authorization }) => authorization?.slice(7));

  it("brings the machine back to an Operator that knows no newer one, with a proof of its key", async () => {
    await using connected = await restored();
    const { script, link, pass } = connected;
    script.challenge = CHALLENGE;
    link.socket.terminate();
    await pass();
    await pass();
    const back = await script.link();
    expect(back.hello.proof).toBeDefined();
    expect(shownTo(connected)).toEqual(["right-token", "renewed-token", "right-token"]);
  });

  it("is shown once, and the renewed one again after that, until it is given up", async () => {
    await using connected = await restored();
    const { script, clock, link, stopped, pass } = connected;
    script.token = "another";
    link.socket.terminate();
    await pass();
    await pass(); // the renewed one was refused
    await pass();
    await pass();
    await script.refusedTimes(4);
    clock.advance(REFUSAL_GRACE_MS);
    expect(await stopped).toEqual({ reason: "refused" });
    expect(shownTo(connected)).toEqual([
      "right-token",
      "renewed-token",
      "right-token",
      "renewed-token",
      "renewed-token",
    ]);
  });

  it("is not shown to an Operator that has revoked the link", async () => {
    await using connected = await restored({ token: "right-token", formerToken: "former-token" });
    const { script, clock, link, stopped, pass } = connected;
    script.token = "another";
    link.socket.close(CloseCode.REVOKED, "the machine was removed");
    await pass();
    await pass();
    await script.refusedTimes(2);
    clock.advance(REFUSAL_GRACE_MS);
    expect(await stopped).toEqual({ reason: "revoked", message: "the machine was removed" });
    expect(shownTo(connected)).toEqual(["right-token", "right-token", "right-token"]);
  });
});
