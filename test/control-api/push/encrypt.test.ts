import { describe, expect, test } from "vitest";
import { base64Url, fromBase64 } from "#protocol/bytes.ts";
import { areKeys, encryptPush, MAX_PLAIN_BYTES } from "../../../control-api/src/push/encrypt.ts";
import { TestBrowserPush } from "../../support/push-service.ts";

/** RFC 8291, section 5 and appendix A. */
const EXAMPLE = {
  text: "When I grow up, I want to be a watermelon",
  browser: {
    p256dh: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    auth: "BTBZMqHH6r4Tts7J_aSIgg",
  },
  senderPrivate: "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw",
  senderPublic: "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8",
  salt: "DGv6ra1nlYgDCS1FRnbzlw",
  encrypted:
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN",
};

async function exampleKeys(): Promise<CryptoKeyPair> {
  const point = fromBase64(EXAMPLE.senderPublic);
  const [x, y] = [base64Url(point.slice(1, 33)), base64Url(point.slice(33))];
  const p256 = { name: "ECDH", namedCurve: "P-256" };
  const publicJwk = { kty: "EC", crv: "P-256", x, y };
  return {
    publicKey: await crypto.subtle.importKey("jwk", publicJwk, p256, true, []),
    privateKey: await crypto.subtle.importKey("jwk", { ...publicJwk, d: EXAMPLE.senderPrivate }, p256, true, ["deriveBits"]), // prettier-ignore
  } as CryptoKeyPair;
}

describe("a push message", () => {
  test("is encrypted as the example of RFC 8291 shows, byte for byte", async () => {
    const ephemeral = { keys: await exampleKeys(), salt: fromBase64(EXAMPLE.salt) };
    const encrypted = await encryptPush(EXAMPLE.text, EXAMPLE.browser, ephemeral);
    expect(base64Url(encrypted)).toBe(EXAMPLE.encrypted);
  });

  test("can be read by its browser, is different each time, and has room for the largest text", async () => {
    const browser = await TestBrowserPush.make("https://push.hooks.example/one");
    const text = "x".repeat(MAX_PLAIN_BYTES);
    const [one, other] = [await encryptPush(text, browser.keys), await encryptPush(text, browser.keys)];
    expect(await browser.decrypt(one)).toBe(text);
    expect(await browser.decrypt(other)).toBe(text);
    expect(base64Url(one)).not.toBe(base64Url(other));
    expect(one.length).toBe(4_096);
    await expect(encryptPush(`${text}x`, browser.keys)).rejects.toThrow("at most 3993 bytes");
  });

  test("cannot be read with another browser's keys", async () => {
    const [browser, other] = [
      await TestBrowserPush.make("https://a.example"),
      await TestBrowserPush.make("https://b.example"),
    ];
    const encrypted = await encryptPush("hello", browser.keys);
    await expect(other.decrypt(encrypted)).rejects.toThrow();
  });
});

describe("keys of a subscription", () => {
  test("are refused unless they are a point on the curve and a secret of 16 bytes", async () => {
    const { p256dh, auth } = EXAMPLE.browser;
    expect(await areKeys({ p256dh, auth })).toBe(true);
    const offCurve = fromBase64(p256dh);
    offCurve[64] = (offCurve[64] ?? 0) ^ 1;
    for (const keys of [
      { p256dh: base64Url(offCurve), auth },
      { p256dh: base64Url(fromBase64(p256dh).slice(0, 33)), auth },
      { p256dh: "", auth },
      { p256dh: "not base64 at all!", auth },
      { p256dh, auth: base64Url(new Uint8Array(15)) },
      { p256dh, auth: "" },
    ])
      expect(await areKeys(keys), JSON.stringify(keys)).toBe(false);
  });
});
