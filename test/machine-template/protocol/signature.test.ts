import { expect, it } from "vitest";
import { base64Url } from "#protocol/bytes.ts";
import { isSigned } from "#protocol/signature.ts";

const TEXT = new TextEncoder().encode("what is signed");

async function signer(): Promise<{ key: string; signature: string }> {
  const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  if (!("privateKey" in pair)) throw new Error("Ed25519 makes a pair");
  const [key, signature] = await Promise.all([
    crypto.subtle.exportKey("raw", pair.publicKey),
    crypto.subtle.sign("Ed25519", pair.privateKey, TEXT),
  ]);
  return { key: base64Url(new Uint8Array(key)), signature: base64Url(new Uint8Array(signature)) };
}

it("believes a signature of this text by this key, and nothing else", async () => {
  const [one, other] = await Promise.all([signer(), signer()]);
  expect(await isSigned(one.signature, one.key, TEXT)).toBe(true);
  for (const [signature, key, text] of [
    [other.signature, one.key, TEXT],
    [one.signature, other.key, TEXT],
    [one.signature, one.key, TEXT.slice(1)],
    [one.signature.slice(4), one.key, TEXT],
    [one.signature, one.key.slice(4), TEXT],
    ["", "", TEXT],
    ["*".repeat(86), "*".repeat(43), TEXT],
  ] as const)
    expect([signature, key, await isSigned(signature, key, text)]).toEqual([signature, key, false]);
});
