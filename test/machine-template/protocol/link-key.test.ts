import { generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, it } from "vitest";
import { type Challenged, fingerprintOf, isProof, LinkKey, Nonce, Proof, proofText } from "#protocol/link-key.ts";

const CHALLENGED: Challenged = {
  nonce: "n".repeat(43),
  tokenHash: "a".repeat(64),
  stream: "stream",
  dial: { connector: "c", start: 1, number: 2 },
};

function pair(): { key: string; prove: (challenged: Challenged) => string } {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return {
    key: publicKey.export({ format: "jwk" }).x ?? "",
    prove: (challenged) => sign(null, proofText(challenged), privateKey).toString("base64url"),
  };
}

describe("a proof of the link key", () => {
  it("made with Node is accepted with WebCrypto", async () => {
    const { key, prove } = pair();
    const proof = prove(CHALLENGED);
    expect(LinkKey.safeParse(key).success && Proof.safeParse(proof).success).toBe(true);
    expect(await isProof(proof, key, CHALLENGED)).toBe(true);
  });

  it.each<[string, Partial<Challenged>]>([
    ["challenge", { nonce: "m".repeat(43) }],
    ["token", { tokenHash: "b".repeat(64) }],
    ["event stream", { stream: "another" }],
    ["process", { dial: { connector: "d", start: 1, number: 2 } }],
    ["start", { dial: { connector: "c", start: 2, number: 2 } }],
    ["dial", { dial: { connector: "c", start: 1, number: 3 } }],
  ])("is worth nothing for another %s", async (_, other) => {
    const { key, prove } = pair();
    expect(await isProof(prove(CHALLENGED), key, { ...CHALLENGED, ...other })).toBe(false);
  });

  it("is refused under another key or if it is malformed", async () => {
    const { key, prove } = pair();
    const proof = prove(CHALLENGED);
    expect(await isProof(proof, pair().key, CHALLENGED)).toBe(false);
    for (const [badProof, badKey] of [
      ["A".repeat(86), key],
      [proof, "A".repeat(43)],
      [proof, "_".repeat(43)],
      ["", ""],
    ])
      expect(await isProof(badProof ?? "", badKey ?? "", CHALLENGED)).toBe(false);
  });

  it("has values with unambiguous borders", () => {
    const one = { ...CHALLENGED, stream: 'x","y', dial: { connector: "z", start: 1, number: 1 } };
    const other = { ...CHALLENGED, stream: "x", dial: { connector: 'y","z', start: 1, number: 1 } };
    expect(proofText(one)).not.toEqual(proofText(other));
  });
});

it("a fingerprint is short, and differs from key to key", async () => {
  const one = pair().key;
  expect(await fingerprintOf(one)).toMatch(/^[\w-]{16}$/);
  expect(await fingerprintOf(one)).not.toBe(await fingerprintOf(pair().key));
});

it("a challenge is 43 characters of URL-safe Base64", () => {
  expect(Nonce.safeParse("a".repeat(43)).success).toBe(true);
  for (const bad of ["", "a".repeat(42), `${"a".repeat(42)}=`, "a".repeat(44)])
    expect(Nonce.safeParse(bad).success).toBe(false);
});
