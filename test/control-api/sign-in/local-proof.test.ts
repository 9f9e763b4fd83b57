import { describe, expect, it } from "vitest";
import { LocalProof, localProofText } from "#protocol/operator-key.ts";
import { isSigned } from "#protocol/signature.ts";
import { localProof } from "../../../control-api/src/sign-in/routes/local-proof.ts";

const ORIGIN = "http://127.0.0.1:8787";
const NONCE = "a-nonce-of-24-characters";
const OWNER_TOKEN_HASH = "0".repeat(64);

async function newKey(): Promise<string> {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  return JSON.stringify(await crypto.subtle.exportKey("jwk", pair.privateKey));
}

const ask = (nonce: string, env: Record<string, string>) =>
  localProof.request(`/api/local?nonce=${encodeURIComponent(nonce)}`, {}, { ORIGIN, ...env });

describe("what an Operator on this computer says of itself", () => {
  it("is signed with its key, for its own address and the nonce alone", async () => {
    const LOCAL_KEY = await newKey();
    const said = LocalProof.parse(await (await ask(NONCE, { OWNER_TOKEN_HASH, LOCAL_KEY })).json());
    const { key = "", signature = "" } = said;
    expect(key).toBe((JSON.parse(LOCAL_KEY) as JsonWebKey & { x: string }).x);
    const isFor = (origin: string, nonce: string): Promise<boolean> =>
      isSigned(signature, key, localProofText(origin, nonce));
    expect(await isFor(ORIGIN, NONCE)).toBe(true);
    expect(await isFor("http://127.0.0.1:8788", NONCE)).toBe(false);
    expect(await isFor(ORIGIN, `${NONCE}x`)).toBe(false);
  });

  it("does not contain the private key", async () => {
    const LOCAL_KEY = await newKey();
    const text = await (await ask(NONCE, { OWNER_TOKEN_HASH, LOCAL_KEY })).text();
    expect(text).not.toContain((JSON.parse(LOCAL_KEY) as JsonWebKey & { d: string }).d);
  });

  it.each(["", "short", `${"x".repeat(65)}`, 'a","http://127.0.0.1:1', "line\nbreak-and-more-of-it"])(
    "is not said for the nonce %j",
    async (nonce) => {
      expect((await ask(nonce, { OWNER_TOKEN_HASH, LOCAL_KEY: await newKey() })).status).toBe(400);
    },
  );

  it("is nothing where TLS says it", async () => {
    expect((await ask(NONCE, {})).status).toBe(404);
  });
});
