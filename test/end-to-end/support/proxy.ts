import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { unusedPort } from "../../support/unused-port.ts";
import { until } from "./eventually.ts";

const README = fileURLToPath(new URL("../../../scripts/local/README.md", import.meta.url));

/** The proxies that Debian has (`apt-get install nginx-light caddy`). */
const PROGRAMS = { nginx: "/usr/sbin/nginx", caddy: "/usr/bin/caddy" } as const;
export type ProxyName = keyof typeof PROGRAMS;

/** Whether all proxies are installed. CI sets OPERATOR_REQUIRE_PROXIES, so that it fails if one is missing. */
export function hasProxies(): boolean {
  const missing = Object.values(PROGRAMS).filter((program) => !existsSync(program));
  if (missing.length === 0) return true;
  const advice = `${missing.join(", ")} missing: apt-get install nginx-light caddy`;
  if (process.env["OPERATOR_REQUIRE_PROXIES"] === "1") throw new Error(advice);
  console.warn(`skipped: ${advice}`);
  return false;
}

/** A real proxy in front of an Operator, which serves `https://<host>:<port>` on loopback with a certificate of its own. */
export class Proxy implements AsyncDisposable {
  readonly port: number;
  /** Its certificate, for clients to trust. */
  readonly cert: string;
  readonly #child: ChildProcess;
  readonly #folder: string;
  /** The proxy's errors, for a test that fails. */
  #said = "";

  /** Starts the proxy with its configuration from the documentation. */
  static recipe(name: ProxyName, host: string, upstreamPort: number): Promise<Proxy> {
    const [, recipe] = new RegExp(`^\`\`\`${name}\n([^]*?)^\`\`\``, "m").exec(readFileSync(README, "utf8")) ?? [];
    if (recipe === undefined) throw new Error(`${README} has no recipe for ${name}`);
    return Proxy.start(name, recipe, host, upstreamPort);
  }

  /** @param config as in the documentation: for the default ports, and certbot's files */
  static async start(name: ProxyName, config: string, host: string, upstreamPort: number): Promise<Proxy> {
    const folder = mkdtempSync(join(tmpdir(), "operator-proxy-"));
    const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    const kind = ["-days", "2", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    const subject = ["-subj", `/CN=${host}`, "-addext", `subjectAltName=DNS:${host}`];
    execFileSync("openssl", ["req", "-x509", "-keyout", key, "-out", cert, ...kind, ...subject], { stdio: "ignore" });
    const port = await unusedPort();
    // Only its address, Operator's address and the certificate's path are replaced.
    const placed = config
      .replaceAll("operator.example.com {", `${host}:${port} {\n  bind 127.0.0.1\n  tls ${cert} ${key}`)
      .replaceAll(/\/etc\/\S+\/fullchain\.pem/g, cert)
      .replaceAll(/\/etc\/\S+\/privkey\.pem/g, key)
      .replaceAll("listen 443", `listen 127.0.0.1:${port}`)
      .replaceAll("127.0.0.1:8787", `127.0.0.1:${upstreamPort}`);
    const file = join(folder, name === "nginx" ? "nginx.conf" : "Caddyfile");
    writeFileSync(file, name === "nginx" ? wholeNginx(placed, folder) : `${CADDY}\n${placed}`);
    const proxy = new Proxy(name, file, folder, port, readFileSync(cert, "utf8"));
    await proxy.#isUp();
    return proxy;
  }

  private constructor(name: ProxyName, file: string, folder: string, port: number, cert: string) {
    this.port = port;
    this.cert = cert;
    this.#folder = folder;
    const args =
      name === "nginx"
        ? ["-c", file, "-p", folder, "-e", "stderr"]
        : ["run", "--config", file, "--adapter", "caddyfile"];
    this.#child = spawn(PROGRAMS[name], args, {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    });
    this.#child.stderr?.on("data", (chunk: Buffer) => (this.#said += chunk.toString()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, "exit");
      this.#child.kill("SIGTERM"); // nginx ends its workers with it
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #isUp(): Promise<void> {
    return until("the proxy listens", () => {
      if (this.#child.exitCode !== null) throw new Error(`the proxy ended with ${this.#child.exitCode}: ${this.#said}`);
      return new Promise((resolve) => {
        const socket = connect(this.port, "127.0.0.1");
        const end = (isUp: boolean): void => {
          socket.destroy();
          resolve(isUp);
        };
        socket.once("connect", () => end(true)).once("error", () => end(false));
      });
    });
  }
}

/** Listens on only one port, and logs only errors. */
const CADDY = `{
  admin off
  auto_https disable_redirects
  servers {
    protocols h1 h2
  }
  log {
    level ERROR
  }
}`;

/** The part of /etc/nginx/nginx.conf around a server block, with all output in a folder of the test. */
function wholeNginx(server: string, folder: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => {
    mkdirSync(join(folder, kind));
    return `${kind}_temp_path ${join(folder, kind)};`;
  });
  const user = process.getuid?.() === 0 ? "user root;\n" : ""; // its workers change user otherwise, and cannot enter the folder
  return `${user}daemon off;\npid ${join(folder, "nginx.pid")};\nerror_log stderr crit;\nevents {}
http {\naccess_log off;\n${temporary.join("\n")}\n${server}\n}\n`;
}
