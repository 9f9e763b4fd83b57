import { describe, expect, test } from "vitest";
import { hashOf, makeToken } from "../../../control-api/src/sign-in/access-token.ts";
import { isLocalToken } from "../../../control-api/src/sign-in/local-token.ts";

describe("the owner's token of a local start", () => {
  test("is accepted each time, and no other token is accepted after it", async () => {
    const [token, other] = [makeToken("owner"), makeToken("owner")];
    const hash = await hashOf(token);
    for (let call = 0; call < 2; call += 1) {
      expect(await isLocalToken(token, hash)).toBe(true);
      expect(await isLocalToken(other, hash)).toBe(false);
    }
  });

  test("is refused as soon as the hash is another token's", async () => {
    const [token, next] = [makeToken("owner"), makeToken("owner")];
    expect(await isLocalToken(token, await hashOf(token))).toBe(true);
    expect(await isLocalToken(token, await hashOf(next))).toBe(false);
    expect(await isLocalToken(next, await hashOf(next))).toBe(true);
  });

  test.each([undefined, ""])("does not exist where the hash is %j", async (hash) => {
    const token = makeToken("owner");
    await isLocalToken(token, await hashOf(token));
    expect(await isLocalToken(token, hash)).toBe(false);
    expect(await isLocalToken("", hash)).toBe(false);
  });
});
