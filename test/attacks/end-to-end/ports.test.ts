import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import "../../end-to-end/support/bundles.ts";
import { unusedPort } from "../../support/unused-port.ts";

const START = fileURLToPath(new URL("../../../scripts/local/start.ts", import.meta.url));

/** The user that owns nothing. */
const NOBODY = ["--reuid=65534", "--regid=65534", "--clear-groups"];

/** A process of a start listens at an address: of a TCP socket, or the path of a Unix socket. */
type Listener = { readonly pid: number; readonly command: string; readonly address: string };

const isRoot = process.platform === "linux" && process.getuid?.() === 0;

/** Everything that a start listens on, attacked as a person with an account on the same computer could, or a page in a browser on it. */
describe.skipIf(!isRoot)("each listening address of a start", () => {
  const folder = mkdtempSync(join(tmpdir(), "operator-ports-"));
  const token = (): string =>
    readFileSync(join(folder, "codez", "operators", `127.0.0.1-${port}.token`), "utf8").trim();
  let port: number;
  let metricsPort: number;
  let start: ChildProcess;
  let listeners: Listener[];

  beforeAll(async () => {
    [port, metricsPort] = [await unusedPort(), await unusedPort()];
    const env = {
      ...process.env,
      OPERATOR_STATE: join(folder, "state"),
      OPERATOR_BUNDLES: inject("bundles"),
      CODEZ_HOME: join(folder, "codez"),
    };
    start = spawn(process.execPath, [START, "--port", `${port}`, "--metrics-port", `${metricsPort}`], { env });
    let output = "";
    await new Promise<void>((resolve, reject) => {
      start.on("close", () => reject(new Error(output)));
      for (const stream of [start.stdout, start.stderr])
        stream?.on("data", (chunk) => {
          output += String(chunk);
          if (output.includes("Operator is running")) resolve();
        });
    });
    const machine = { name: "attic", identity: "identity-of-the-attic" };
    const registered = await fetch(`http://127.0.0.1:${port}/api/machines`, {
      method: "POST",
      headers: { authorization: `Bearer ${token()}`, "content-type": "application/json" },
      body: JSON.stringify(machine),
    });
    expect(registered.status).toBe(201);
    listeners = listenersOf(start.pid ?? 0);
  });

  afterAll(async () => {
    start.kill("SIGKILL");
    await once(start, "close");
    rmSync(folder, { recursive: true, force: true });
  });

  const tcp = (): Listener[] => listeners.filter(({ address }) => !address.startsWith("/"));
  const unix = (): Listener[] => listeners.filter(({ address }) => address.startsWith("/"));
  const others = (): Listener[] => tcp().filter(({ address }) => ![port, metricsPort].includes(portOf(address)));

  it("is listed, and is on 127.0.0.1 or in a folder that only its owner can enter", () => {
    for (const { address, command } of tcp()) expect(address, command).toMatch(/^127\.0\.0\.1:\d+$/);
    const kinds = tcp().map(({ address, pid, command }) => {
      if (portOf(address) === port) return "front";
      if (portOf(address) === metricsPort) return "metrics";
      return pid === start.pid ? "platform" : command.includes("workerd") ? "script" : command;
    });
    expect(kinds.toSorted()).toEqual(["front", "metrics", "platform", "script"]);
    expect(
      unix()
        .map(({ address }) => /\/(gate|reports)-[^/]+$/.exec(address)?.[1])
        .toSorted(),
    ).toEqual(["gate", "reports"]);
    for (const { address } of unix()) expect(statSync(dirname(address)).mode & 0o077, address).toBe(0);
  });

  it.each(["gate", "reports"])("refuses another user if it is a Unix socket: %s", (kind) => {
    const path = unix().find(({ address }) => address.includes(`/${kind}-`))?.address ?? "";
    expect(() => asNobody("--unix-socket", path, "http://127.0.0.1/api/machines")).toThrow(/Permission denied|curl/);
  });

  it("of the platform and the scripts answers only callers with its key", () => {
    const paths = [
      "/",
      "/client/v4/accounts/local/workers/dispatch/namespaces",
      "/dispatch/operator/attic",
      "/mcp",
      "/operator/state",
      "/link",
    ];
    expect(others()).toHaveLength(2);
    for (const { address } of others())
      for (const path of paths) {
        const url = `http://${address}${path}`;
        for (const attack of ATTACKS) {
          const status = asNobody("-o", "/dev/null", "-w", "%{http_code}", ...attack, url);
          expect([url, attack, status]).toEqual([url, attack, expect.stringMatching(/^(?:401|403|404)$/)]);
        }
      }
  });

  it("of the platform does not read the body of a caller without its key", () => {
    const { address } = others().find(({ pid }) => pid === start.pid) ?? { address: "" };
    const script = `http://${address}/client/v4/accounts/local/workers/dispatch/namespaces/operator/scripts/attic`;
    const large = ["-X", "PUT", "-H", "Expect:", "-H", "Content-Length: 90000000", "--data-binary", "begun"];
    // Only the beginning of the body is sent. A server that waits for the rest could be made to wait indefinitely.
    const began = Date.now();
    expect(asNobody("-m", "10", "-o", "/dev/null", "-w", "%{http_code}", ...large, script)).toBe("401");
    expect(Date.now() - began).toBeLessThan(9_000);
  });

  it("for callers identifies nobody without a token, whatever page or host a request claims", () => {
    const url = `http://127.0.0.1:${port}`;
    for (const attack of ATTACKS)
      for (const path of ["/api/machines", "/api/tokens", "/mcp", "/m/attic/mcp"]) {
        const status = asNobody("-o", "/dev/null", "-w", "%{http_code}", ...attack, url + path);
        expect([path, attack, status]).toEqual([path, attack, expect.stringMatching(/^(?:400|401|403)$/)]);
      }
    expect(() => asNobodyRead(join(folder, "codez", "operators", `127.0.0.1-${port}.token`))).toThrow();
    expect(() => asNobodyRead(join(folder, "state", "secrets.json"))).toThrow();
  });

  it("for monitoring programs refuses web pages and foreign host names", () => {
    const url = `http://127.0.0.1:${metricsPort}/metrics`;
    const status = (...attack: string[]) => asNobody("-o", "/dev/null", "-w", "%{http_code}", ...attack, url);
    expect(status()).toBe("200");
    expect(status("-H", "Host: evil.example")).toBe("403");
    expect(status("-H", "Origin: https://evil.example")).toBe("403");
    expect(status("-d", "a=b")).toBe("405");
  });
});

/** Another user's program; a form post of a foreign page; a page whose host name was pointed at this computer (DNS rebinding). */
const ATTACKS: readonly (readonly string[])[] = [
  [],
  ["-d", "a=b", "-H", "Origin: https://evil.example", "-H", "Sec-Fetch-Site: cross-site"],
  ["-H", "Host: evil.example"],
  ["-H", "Authorization: Bearer guessed"],
  ["-H", "x-operator-caller: owner", "-H", "cf-connecting-ip: 127.0.0.1"],
];

function asNobody(...args: readonly string[]): string {
  return execFileSync("setpriv", [...NOBODY, "curl", "-sS", "--max-time", "30", ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
}

function asNobodyRead(path: string): string {
  return execFileSync("setpriv", [...NOBODY, "cat", path], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
}

function portOf(address: string): number {
  return Number(address.split(":").at(-1));
}

/** The addresses on which a process and its descendants listen. */
function listenersOf(root: number): Listener[] {
  const sockets = new Map([...listeningTcp(), ...listeningUnix()]);
  return processesBelow(root).flatMap((pid) => {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      return inodesOf(pid).flatMap((inode) => {
        const address = sockets.get(inode);
        return address === undefined ? [] : [{ pid, command, address }];
      });
    } catch {
      return []; // it has ended meanwhile
    }
  });
}

function processesBelow(root: number): number[] {
  const parents = readdirSync("/proc").flatMap((entry): [number, number][] => {
    try {
      const [, parent] = /\) \S (\d+)/.exec(readFileSync(`/proc/${Number(entry)}/stat`, "utf8")) ?? [];
      return [[Number(entry), Number(parent)]];
    } catch {
      return []; // not a process, or one that has just ended
    }
  });
  const found = [root];
  for (const pid of found) found.push(...parents.flatMap(([child, parent]) => (parent === pid ? [child] : [])));
  return found;
}

/** Inode and address of each TCP socket in state LISTEN (0A); addresses are hexadecimal, the bytes of IPv4 in host order. */
function listeningTcp(): [string, string][] {
  return ["tcp", "tcp6"].flatMap((table) =>
    readFileSync(`/proc/net/${table}`, "utf8")
      .split("\n")
      .slice(1)
      .flatMap((line): [string, string][] => {
        const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
        if (state !== "0A") return [];
        const [host = "", hexPort = ""] = local.split(":");
        const address =
          table === "tcp6"
            ? `[${host}]`
            : [6, 4, 2, 0].map((at) => Number.parseInt(host.slice(at, at + 2), 16)).join(".");
        return [[inode, `${address}:${Number.parseInt(hexPort, 16)}`]];
      }),
  );
}

/** Inode and path of each Unix socket that listens (flag __SO_ACCEPTCON). */
function listeningUnix(): [string, string][] {
  return readFileSync("/proc/net/unix", "utf8")
    .split("\n")
    .slice(1)
    .flatMap((line): [string, string][] => {
      const [, , , flags, , , inode = "", path = "unnamed"] = line.trim().split(/\s+/);
      return flags === "00010000" ? [[inode, path.startsWith("/") ? path : `/${path}`]] : [];
    });
}

function inodesOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
    } catch {
      return []; // closed meanwhile
    }
  });
}
