import { isIP } from "node:net";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { TrustedProxies } from "../front/client-address.ts";
import type { DoorOptions, TlsOptions } from "../front/door.ts";
import { DEFAULT_STATE, IS_PACKED, START_COMMAND, stateFolder } from "./program.ts";
import { LOG_FORMATS, type LogFormat } from "./log-line.ts";

export const DEFAULT_PORT = 8787;
const HTTPS_PORT = 443;
const HTTP_PORT = 80;

/** The wildcard address: all addresses of this computer, IPv4 and IPv6. */
const EVERYWHERE = "::";

/** The start command, as options follow it: npm takes its own unless they come after `--`. */
const START = IS_PACKED ? START_COMMAND : `${START_COMMAND} --`;

export const HELP = `Starts Operator on this computer, without any account.

  ${START} [--port <port>] [--verbose]                       for this computer alone
  ${START} --public-url https://operator.example.com <tls>   for others as well

  --port          where MCP clients and machines connect (OPERATOR_PORT; default ${DEFAULT_PORT} on 127.0.0.1)
  --metrics-port  /healthz and /metrics (Prometheus) on this port of 127.0.0.1; without it they are not served
  --log-format    text (for people) or json: one object per line, in the log and on standard error
  --dispatch-port the dispatch Worker on this port of 127.0.0.1, for a gate of your own (scripts/gates); without it it is not served
  --verbose       show what the Workers print, which the logs in <state> have in any case

  --public-url    the address that clients use (OPERATOR_PUBLIC_URL). Everyone must then sign in, also on this computer.
  --domain        gives every machine its own host, <machine>.<domain>; needs wildcard DNS and a certificate for it
  --listen        the address to listen on (default: all of them; 127.0.0.1 behind a proxy)

  <tls> is one of
  --acme <email>                        obtains and renews a certificate (Let's Encrypt). Port 80 must reach this computer.
  --tls-cert <file> --tls-key <file>    PEM; read again when they are renewed
  --behind-proxy <address|cidr>[,...]   a proxy terminates TLS; forwarding headers are trusted from these addresses only

  --acme-directory <url>  another certificate authority   --http-port <port>  for its challenges (default ${HTTP_PORT})

  --webhook-origins <origin>[,...]  receivers of webhooks on this computer or its network, such as http://ntfy.home:8080

  OPERATOR_STATE  the folder in which Operator stores everything (default ${DEFAULT_STATE})
`;

export interface StartArguments {
  readonly door: DoorOptions;
  /** Machines get the hosts `<machine>.<domain>`. `null`: the public host, or localhost. */
  readonly domain: string | null;
  readonly stateDir: string;
  /** Port on 127.0.0.1 for health and metrics; `null`: not served. */
  readonly metricsPort: number | null;
  readonly logFormat: LogFormat;
  /** Port on 127.0.0.1 for gates other than the control API; `null`: not served. */
  readonly dispatchPort: number | null;
  /** Origins that webhooks may reach although they are not public; with commas in between. */
  readonly webhookOrigins: string | null;
  readonly verbose: boolean;
  readonly help: boolean;
}

/**
 * Reads the command line and the environment; the command line wins.
 * @throws Error with a message for the person who typed the command
 */
export function readArguments(args: string[], env: NodeJS.ProcessEnv): StartArguments {
  const { values } = parseArgs({
    args,
    options: {
      port: { type: "string" },
      "public-url": { type: "string" },
      domain: { type: "string" },
      listen: { type: "string" },
      acme: { type: "string" },
      "acme-directory": { type: "string" },
      "http-port": { type: "string" },
      "tls-cert": { type: "string" },
      "tls-key": { type: "string" },
      "behind-proxy": { type: "string" },
      "metrics-port": { type: "string" },
      "log-format": { type: "string" },
      "dispatch-port": { type: "string" },
      "webhook-origins": { type: "string" },
      verbose: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
  const given = (name: keyof typeof values & string): string | null => {
    const value = values[name] ?? env[`OPERATOR_${name.toUpperCase().replaceAll("-", "_")}`];
    return typeof value === "string" && value !== "" ? value : null;
  };
  const stateDir = stateFolder(env);
  const metricsPort = portOf(given("metrics-port"));
  const logFormat = LOG_FORMATS.find((one) => one === (given("log-format") ?? "text"));
  if (logFormat === undefined) throw new Error(`--log-format takes ${LOG_FORMATS.join(" or ")}`);
  const dispatchPort = portOf(given("dispatch-port"));
  const webhookOrigins = originsOf(given("webhook-origins"));
  const rest = {
    stateDir,
    metricsPort,
    dispatchPort,
    logFormat,
    webhookOrigins,
    verbose: values.verbose ?? false,
    help: values.help ?? false,
  };
  const publicUrl = given("public-url");
  const port = portOf(given("port"));
  if (publicUrl === null) {
    const needless = (["domain", "listen", "acme", "tls-cert", "tls-key", "behind-proxy"] as const).find(
      (name) => given(name) !== null,
    );
    if (needless !== undefined) throw new Error(`--${needless} needs --public-url: the address that clients use`);
    return { door: { kind: "loopback", port: port ?? DEFAULT_PORT }, domain: null, ...rest };
  }
  const origin = originOf(publicUrl);
  const tls = tlsOf(given);
  const isProxied = tls.kind === "proxy";
  const host = given("listen") ?? (isProxied ? "127.0.0.1" : EVERYWHERE);
  if (isIP(host) === 0) throw new Error(`--listen takes an address of this computer, such as 127.0.0.1, not "${host}"`);
  const usual = isProxied ? DEFAULT_PORT : Number(new URL(origin).port || HTTPS_PORT);
  const door: DoorOptions = { kind: "public", origin, host, port: port ?? usual, tls, folder: join(stateDir, "tls") };
  return { door, domain: given("domain"), ...rest };
}

function originOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== "https:" || url.pathname !== "/" || url.search !== "" || url.username !== "")
    throw new Error(`--public-url takes an address such as https://operator.example.com, not "${text}"`);
  return url.origin;
}

/** Origins with commas in between, checked: one with a path or a slip of the pen would allow nothing. */
function originsOf(text: string | null): string | null {
  if (text === null) return null;
  const origins = text.split(",").map((origin) => origin.trim());
  for (const origin of origins)
    if (!URL.canParse(origin) || !/^https?:$/.test(new URL(origin).protocol) || new URL(origin).origin !== origin)
      throw new Error(`--webhook-origins takes origins such as http://ntfy.home:8080, not "${origin}"`);
  return origins.join(",");
}

/** The source of TLS: exactly one of ACME, certificate files and a proxy must be given. */
function tlsOf(
  given: (name: "acme" | "acme-directory" | "http-port" | "tls-cert" | "tls-key" | "behind-proxy") => string | null,
): TlsOptions {
  const [email, certFile, keyFile, ranges] = [
    given("acme"),
    given("tls-cert"),
    given("tls-key"),
    given("behind-proxy"),
  ];
  if ((certFile === null) !== (keyFile === null)) throw new Error("--tls-cert and --tls-key go together");
  const ways = [email, certFile, ranges].filter((way) => way !== null);
  if (ways.length !== 1)
    throw new Error(
      "--public-url needs one of --acme <email>, --tls-cert with --tls-key, and --behind-proxy <address>",
    );
  if (email !== null) {
    if (!/^[^\s@]+@[^\s@]+$/.test(email)) throw new Error(`--acme takes your e-mail address, not "${email}"`);
    const directoryUrl = given("acme-directory");
    const httpPort = portOf(given("http-port")) ?? HTTP_PORT;
    return { kind: "acme", email, httpPort, ...(directoryUrl === null ? {} : { directoryUrl }) };
  }
  if (certFile !== null && keyFile !== null)
    return { kind: "files", certFile: resolve(certFile), keyFile: resolve(keyFile) };
  const list = ranges?.split(",").map((range) => range.trim()) ?? [];
  void new TrustedProxies(list); // throws an error that names an invalid address
  return { kind: "proxy", ranges: list };
}

function portOf(text: string | null): number | null {
  if (text === null) return null;
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) throw new Error(`"${text}" is not a port`);
  return port;
}
