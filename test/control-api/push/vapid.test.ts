import { describe, expect, test } from "vitest";
import { makeVapidKey, vapidHeader } from "../../../control-api/src/push/vapid.ts";
import { vapidClaims } from "../../support/push-service.ts";

/** RFC 8292, section 2.4. */
const EXAMPLE =
  "vapid t=eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA, k=BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs";

describe("the token for a push service", () => {
  test("is checked here as the example of RFC 8292 demands", async () => {
    expect(await vapidClaims(EXAMPLE)).toMatchObject({
      aud: "https://push.example.net",
      exp: 1_453_523_768,
      sub: "mailto:push@example.com",
    });
  });

  test("is signed, for the origin of the endpoint, for twelve hours, and says whom to turn to", async () => {
    const key = await makeVapidKey();
    const nowMs = Date.UTC(2026, 0, 1);
    const header = await vapidHeader(key, "https://push.example:8443/secret/path", "https://operator.example", nowMs);
    expect(await vapidClaims(header)).toEqual({
      aud: "https://push.example:8443",
      exp: nowMs / 1_000 + 12 * 3_600,
      sub: "https://operator.example",
      key: key.publicKey,
    });
    expect(await vapidClaims(await vapidHeader(key, "https://push.example/x", null, nowMs))).not.toHaveProperty("sub");
  });
});
