import { describe, expect, it } from "vitest";
import { readArguments } from "../../../scripts/local/arguments.ts";

const URL_ = ["--public-url", "https://operator.example.com"];
const read = (args: string[], env: NodeJS.ProcessEnv = {}) => readArguments(args, { OPERATOR_STATE: "/state", ...env });

describe("the arguments of a start", () => {
  it("open a loopback port if there are none", () => {
    expect(read([])).toEqual({
      door: { kind: "loopback", port: 8787 },
      domain: null,
      stateDir: "/state",
      metricsPort: null,
      logFormat: "text",
      dispatchPort: null,
      webhookOrigins: null,
      verbose: false,
      help: false,
    });
    expect(read(["--log-format", "json"]).logFormat).toBe("json");
    expect(() => read(["--log-format", "xml"])).toThrow("--log-format takes text or json");
    expect(read([], { OPERATOR_PORT: "9000" }).door).toEqual({ kind: "loopback", port: 9000 });
  });

  it("accept only exact origins for webhooks", () => {
    expect(read(["--webhook-origins", "http://ntfy.home:8080, https://192.168.1.5"]).webhookOrigins).toBe(
      "http://ntfy.home:8080,https://192.168.1.5",
    );
    for (const text of ["ntfy.home", "http://ntfy.home/topic", "http://u@ntfy.home", "ftp://ntfy.home", "http://a,"])
      expect(() => read(["--webhook-origins", text]), text).toThrow("--webhook-origins takes origins");
  });

  it.each([
    [
      "own certificates",
      ["--tls-cert", "/c", "--tls-key", "/k"],
      "::",
      443,
      { kind: "files", certFile: "/c", keyFile: "/k" },
    ],
    ["ACME", ["--acme", "me@example.com"], "::", 443, { kind: "acme", email: "me@example.com", httpPort: 80 }],
    [
      "a proxy",
      ["--behind-proxy", "127.0.0.1, 10.0.0.0/8"],
      "127.0.0.1",
      8787,
      { kind: "proxy", ranges: ["127.0.0.1", "10.0.0.0/8"] },
    ],
  ] as const)("open a public door with %s", (_, args, host, port, tls) => {
    const { door } = read([...URL_, ...args]);
    expect(door).toEqual({
      kind: "public",
      origin: "https://operator.example.com",
      host,
      port,
      tls,
      folder: "/state/tls",
    });
  });

  it("can all come from the environment, as in a container", () => {
    const env = {
      OPERATOR_PUBLIC_URL: "https://operator.example.com:8443/",
      OPERATOR_ACME: "me@example.com",
      OPERATOR_ACME_DIRECTORY: "https://ca.test/dir",
      OPERATOR_HTTP_PORT: "8080",
      OPERATOR_LISTEN: "192.0.2.1",
      OPERATOR_DOMAIN: "machines.example.com",
    };
    expect(read([], env)).toMatchObject({
      domain: "machines.example.com",
      door: {
        origin: "https://operator.example.com:8443",
        host: "192.0.2.1",
        port: 8443,
        tls: { kind: "acme", httpPort: 8080, directoryUrl: "https://ca.test/dir" },
      },
    });
  });

  it.each([
    ["an invalid port", ["--port", "http"], "port"],
    ["a port out of range", ["--port", "65536"], "65536"],
    ["a public address without TLS", ["--public-url", "http://operator.example.com"], "https://operator.example.com"],
    ["a public address with a path", ["--public-url", "https://operator.example.com/x"], "--public-url"],
    ["a public address and no certificate", URL_, "--acme"],
    ["two ways to have a certificate", [...URL_, "--acme", "me@example.com", "--behind-proxy", "127.0.0.1"], "one of"],
    ["half a certificate", [...URL_, "--tls-cert", "/c"], "--tls-key"],
    ["a proxy that is no address", [...URL_, "--behind-proxy", "nginx"], '"nginx"'],
    ["a listener that is no address", [...URL_, "--acme", "me@example.com", "--listen", "eth0"], '"eth0"'],
    ["an invalid e-mail address", [...URL_, "--acme", "me"], '"me"'],
    ["a proxy without a public address", ["--behind-proxy", "127.0.0.1"], "--public-url"],
    ["an option that there is not", ["--colour"], "--colour"],
  ])("refuse %s, and say what is valid", (_, args, words) => {
    expect(() => read(args)).toThrow(words);
  });
});
