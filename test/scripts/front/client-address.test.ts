import { describe, expect, it } from "vitest";
import { clientAddress, TrustedProxies } from "../../../scripts/front/client-address.ts";

const nobody = new TrustedProxies([]);
const proxies = new TrustedProxies(["127.0.0.1", "10.0.0.0/8", "fd00::/8"]);

describe("a client's address", () => {
  it.each([
    ["that of the connection, without a trusted proxy", "203.0.113.7", "198.51.100.1", nobody, "203.0.113.7"],
    ["that of the connection, when a stranger claims another", "203.0.113.7", "127.0.0.1", proxies, "203.0.113.7"],
    ["what a trusted proxy says", "127.0.0.1", "203.0.113.7", proxies, "203.0.113.7"],
    ["the last that no trusted proxy has", "127.0.0.1", "127.0.0.1, 203.0.113.7, 10.1.2.3", proxies, "203.0.113.7"],
    [
      "what a trusted proxy adds to the client's claim",
      "127.0.0.1",
      "198.51.100.9, 203.0.113.7",
      proxies,
      "203.0.113.7",
    ],
    ["the proxy's own, when it says nothing", "10.0.0.1", undefined, proxies, "10.0.0.1"],
    ["the proxy's own, when it says what is no address", "10.0.0.1", "unknown", proxies, "10.0.0.1"],
    ["an IPv6 address", "fd00::1", "2001:db8::5", proxies, "2001:db8::5"],
    ["an IPv4 address that came over an IPv6 socket", "::ffff:127.0.0.1", "::ffff:203.0.113.7", proxies, "203.0.113.7"],
  ] as const)("is %s", (_, peer, forwarded, trusted, expected) => {
    expect(clientAddress(peer, forwarded, trusted)).toBe(expected);
  });

  it.each(["", "localhost", "10.0.0.0/33", "10.0.0.0/8/8", "10.0.0.0/x", "fd00::/129", "10.0.0.0/"])(
    "cannot be accepted from a proxy at %j",
    (range) => {
      expect(() => new TrustedProxies([range])).toThrow(`"${range}"`);
    },
  );
});
