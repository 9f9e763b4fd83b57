import { Buffer } from "node:buffer";
import { createHash, createHmac } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  base64,
  base64Url,
  fromBase64,
  hex,
  hmacSha256,
  randomSecret,
  sha256,
  utf8,
} from "../../../machine-template/protocol/bytes.ts";

const anyBytes = fc.uint8Array({ maxLength: 300 });

describe("bytes as text", () => {
  it("equal the output of Node's own encoders", () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const node = Buffer.from(bytes);
        expect(hex(bytes)).toBe(node.toString("hex"));
        expect(base64(bytes)).toBe(node.toString("base64"));
        expect(base64Url(bytes)).toBe(node.toString("base64url"));
      }),
    );
  });

  it("can be decoded from either alphabet of Base64", () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        expect(fromBase64(base64(bytes))).toEqual(bytes);
        expect(fromBase64(base64Url(bytes))).toEqual(bytes);
      }),
    );
  });

  it("may have a megabyte without overflowing the stack", () => {
    const many = new Uint8Array(1024 * 1024).fill(255);
    expect(Buffer.compare(fromBase64(base64(many)), many)).toBe(0);
  });

  it("are refused in text that is not Base64", () => {
    expect(() => fromBase64("not base64!")).toThrow();
  });
});

describe("digests", () => {
  it("are computed over UTF-8 text", async () => {
    expect(hex(await sha256("grüße"))).toBe(createHash("sha256").update("grüße").digest("hex"));
    expect(hex(await hmacSha256("grüße", "key"))).toBe(createHmac("sha256", "key").update("grüße").digest("hex"));
    expect(utf8("ü")).toEqual(new Uint8Array([0xc3, 0xbc]));
  });
});

describe("randomSecret", () => {
  it("returns 43 characters that fit a URL, different ones each time", () => {
    const secrets = Array.from({ length: 20 }, randomSecret);
    for (const secret of secrets) expect(secret).toMatch(/^[\w-]{43}$/);
    expect(new Set(secrets).size).toBe(20);
  });
});
