import { generateKeyPairSync, verify, createPublicKey } from "node:crypto";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { linkKey, publicLinkKey } from "../../../../scripts/codez/profile/link-key-file.ts";

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "codez-key-"));
  path = join(folder, "attic.key");
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("the link key", () => {
  it("is created at its first use, is private to its user, and stays the same", () => {
    expect(publicLinkKey(path, "attic")).toBeNull();
    const made = linkKey(path, "attic");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(["attic.key"]);
    expect(linkKey(path, "attic").publicKey).toBe(made.publicKey);
    expect(publicLinkKey(path, "attic")).toBe(made.publicKey);
  });

  it("signs what its public key verifies", () => {
    const { publicKey, sign } = linkKey(path, "attic");
    const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: publicKey }, format: "jwk" });
    expect(verify(null, Buffer.from("text"), key, Buffer.from(sign(Buffer.from("text")), "base64url"))).toBe(true);
  });

  it("does not reveal its private part through the signer", () => {
    const signer = linkKey(path, "attic");
    const secret = readFileSync(path, "utf8").split("\n")[1] ?? "";
    expect(JSON.stringify(signer)).not.toContain(secret);
    expect(Object.keys(signer)).toEqual(["publicKey", "sign"]);
  });

  it("is not used if others could read it", () => {
    linkKey(path, "attic");
    chmodSync(path, 0o640);
    expect(() => linkKey(path, "attic")).toThrow("can be read or written by others");
  });

  it("is not used through a link", () => {
    const elsewhere = join(folder, "elsewhere.key");
    linkKey(elsewhere, "attic");
    symlinkSync(elsewhere, path);
    expect(() => linkKey(path, "attic")).toThrow("not a key");
  });

  it.each([
    ["nothing", ""],
    ["rubbish", "not a key"],
    ["far too much", "x".repeat(5_000)],
    [
      "a key of another kind",
      generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    ],
  ])("with %s is not replaced silently: its person is told what to do", (_, text) => {
    writeFileSync(path, text, { mode: 0o600 });
    expect(() => linkKey(path, "attic")).toThrow(
      expect.objectContaining({ fix: expect.stringContaining("codez setup attic") }),
    );
    expect(readFileSync(path, "utf8")).toBe(text);
  });
});
