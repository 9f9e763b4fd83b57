import { describe, expect, it } from "vitest";
import { callbackUrlOf } from "../../../control-api/src/webhooks/callback-url.ts";

const OPERATOR = { DOMAIN: "operator.example.com", ORIGIN: "https://operator.example.com" };

/** Spellings of addresses and names that lead into a private network, to this computer or back to Operator. */
const PRIVATE = [
  // 127.0.0.1 in every notation that URL parsers know
  "127.0.0.1",
  "127.1",
  "127.0.1",
  "2130706433",
  "0x7f000001",
  "0x7f.0.0.1",
  "0177.0.0.1",
  "017700000001",
  "127.0.0.1.",
  "127.255.255.254",
  "%31%32%37.0.0.1",
  "１２７.0.0.1",
  "127。0。0。1",
  "①②⑦.0.0.1",
  // private, shared, link-local (metadata services among them), special-purpose and multicast networks
  "0.0.0.0",
  "0",
  "10.0.0.1",
  "10.255.255.255",
  "100.64.0.1",
  "168.63.129.16",
  "100.127.255.255",
  "169.254.169.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.168.0.1",
  "192.168.255.255",
  "192.0.0.1",
  "192.0.2.1",
  "192.88.99.1",
  "198.18.0.1",
  "198.19.255.255",
  "198.51.100.1",
  "203.0.113.1",
  "224.0.0.1",
  "239.255.255.255",
  "240.0.0.1",
  "255.255.255.255",
  // IPv6: loopback, unspecified, embedded IPv4, unique local, link-local, site-local, multicast, documentation, 6to4, Teredo
  "[::1]",
  "[::]",
  "[::ffff:127.0.0.1]",
  "[::ffff:7f00:1]",
  "[::ffff:10.0.0.1]",
  "[0:0:0:0:0:ffff:a9fe:a9fe]",
  "[::127.0.0.1]",
  "[64:ff9b::7f00:1]",
  "[64:ff9b:1::1]",
  "[fc00::1]",
  "[fd12:3456::1]",
  "[fe80::1]",
  "[fec0::1]",
  "[ff02::1]",
  "[100::1]",
  "[2001:db8::1]",
  "[2002:7f00:1::]",
  "[2001::1]",
  "[2001:10::1]",
  "[3fff::1]",
  "[5f00::1]",
  // names that resolve to such addresses, or differently in every network
  "localhost",
  "LOCALHOST",
  "localhost.",
  "a.localhost",
  "printer",
  "printer.local",
  "metadata.google.internal",
  "router.lan",
  "nas.home.arpa",
  "db.intranet",
  "host.docker.internal",
  "x.onion",
  "x.invalid",
  "srv.corp",
  // Operator itself and its machines
  "operator.example.com",
  "OPERATOR.example.com",
  "operator.example.com.",
  "attic.operator.example.com",
];

const PUBLIC = ["hooks.example.com", "8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "192.167.1.1", "xn--bcher-kva.example", "[2606:4700::1111]", "[2a00:1450:4001::1]", "localhost.example.com"]; // prettier-ignore

describe("a callback's URL", () => {
  it.each(PRIVATE)("with the host %s is refused", (host) => {
    const checked = URL.canParse(`https://${host}/`)
      ? callbackUrlOf(`https://${host}:8443/hook`, OPERATOR)
      : { refused: "" };
    expect(checked).toHaveProperty("refused");
  });

  it.each(PUBLIC)("with the host %s is accepted", (host) => {
    expect(callbackUrlOf(`https://${host}/hook?key=1`, OPERATOR)).toBeInstanceOf(URL);
  });

  it.each([
    "http://hooks.example.com/",
    "ftp://hooks.example.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "data:text/plain,x",
    "https://user@hooks.example.com/",
    "https://user:password@hooks.example.com/",
    "https://hooks.example.com/#fragment",
    "https://",
    "//hooks.example.com/",
    "hooks.example.com",
    "",
    `https://hooks.example.com/${"x".repeat(2_048)}`,
  ])("%s is refused", (url) => {
    expect(callbackUrlOf(url, OPERATOR)).toHaveProperty("refused");
  });

  it("on a private network is accepted only if exactly its origin is allowed", () => {
    const allowing = { ...OPERATOR, WEBHOOK_ORIGINS: "http://192.168.1.5:8080, https://ntfy.lan" };
    expect(callbackUrlOf("http://192.168.1.5:8080/topic", allowing)).toBeInstanceOf(URL);
    expect(callbackUrlOf("https://ntfy.lan/topic", allowing)).toBeInstanceOf(URL);
    for (const url of [
      "http://192.168.1.5/topic",
      "https://192.168.1.5:8080/",
      "http://192.168.1.5:8081/",
      "http://ntfy.lan/",
      "http://u@192.168.1.5:8080/",
    ])
      // prettier-ignore
      expect(callbackUrlOf(url, allowing), url).toHaveProperty("refused");
    expect(callbackUrlOf("null", { ...OPERATOR, WEBHOOK_ORIGINS: "" })).toHaveProperty("refused");
  });
});
