import { describe, expect, it } from "vitest";
import { expiryOf, isIssuedWith, isLinkToken, makeLinkToken } from "#protocol/link-token.ts";

const EXPIRES_MS = Date.UTC(2027, 1, 19);

describe("a link token", () => {
  it("contains its expiry to the second", async () => {
    const token = await makeLinkToken("secret", EXPIRES_MS + 999);
    expect(isLinkToken(token)).toBe(true);
    expect(expiryOf(token)).toBe(EXPIRES_MS);
    expect(token.length).toBeLessThan(200);
  });

  it("is recognized by the secret that made it, and by no other", async () => {
    const token = await makeLinkToken("secret", EXPIRES_MS);
    expect(await isIssuedWith(token, "secret")).toBe(true);
    expect(await isIssuedWith(token, "another")).toBe(false);
    expect(await makeLinkToken("secret", EXPIRES_MS)).not.toBe(token);
  });

  it("cannot be changed to a later expiry, another secret part or another mac", async () => {
    const token = await makeLinkToken("secret", EXPIRES_MS);
    const [secret = "", , mac = ""] = token.split(".");
    const later = Math.floor(EXPIRES_MS / 1000 + 1).toString(36);
    for (const forged of [
      `${secret}.${later}.${mac}`,
      `opl_${"A".repeat(43)}.${token.split(".")[1]}.${mac}`,
      `${token.slice(0, -2)}${token.endsWith("AA") ? "BB" : "AA"}`,
    ])
      expect(await isIssuedWith(forged, "secret"), forged).toBe(false);
  });

  it.each([
    "",
    "opl_",
    `opl_${"a".repeat(43)}`,
    `opl_${"a".repeat(43)}..`,
    `opl_${"a".repeat(43)}.zzzzzz.`,
    "x".repeat(500),
  ])("is not %s, which has no expiry and no mac", async (text) => {
    expect(isLinkToken(text)).toBe(false);
    expect(expiryOf(text)).toBeNull();
    expect(await isIssuedWith(text, "secret")).toBe(false);
  });
});
