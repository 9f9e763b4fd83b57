import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ask, type Path, post, withConnections } from "./load.ts";
import { freePort } from "../system/ports.ts";
import { tree } from "./processes.ts";
import { openSse } from "./sse-session.ts";

const FOLDER = fileURLToPath(new URL("peers", import.meta.url));
const SERVER = fileURLToPath(new URL("reference-server.ts", import.meta.url));

/** A start takes a second or two; what takes longer than this has failed. */
const START_TIMEOUT_MS = 30_000;

/** How the peers are installed. */
export const INSTALL = "npm ci --prefix scripts/bench/peers";

const INITIALIZE = {
  protocolVersion: "2024-11-05",
  capabilities: {},
  clientInfo: { name: "bench", version: "1" },
};

/**
 * Other aggregators in front of the same server, where they are installed: mcp-hub, which reaches it by HTTP, and
 * mcp-proxy, which starts it as a child process. Both run on this computer alone: no relay between two computers, no
 * sign-in, no isolation of one machine from another.
 */
export async function startPeers(serverUrl: string): Promise<AsyncDisposable & { paths: Path[] }> {
  await using started = new AsyncDisposableStack();
  const home = await mkdtemp(join(tmpdir(), "bench-peers-"));
  started.defer(() => rm(home, { recursive: true, force: true }));
  const peers = [await startHub(serverUrl, home, started), await startProxy(home, started)];
  const running = started.move();
  return {
    paths: peers.filter((path) => path !== null),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** mcp-hub speaks to its clients over the older SSE transport alone. */
async function startHub(serverUrl: string, home: string, started: AsyncDisposableStack): Promise<Path | null> {
  const config = join(home, "hub.json");
  await writeFile(config, JSON.stringify({ mcpServers: { reference: { url: serverUrl } } }));
  const port = await freePort();
  const child = launch("mcp-hub/dist/cli.js", ["--port", `${port}`, "--config", config], home, started);
  if (child === null) return null;
  const url = `http://127.0.0.1:${port}/mcp`;
  return once(child, "mcp-hub", async (agent) => {
    const session = await openSse(url);
    await session.ask(agent, { id: -1, method: "initialize", params: INITIALIZE });
    const listed = await session.ask(agent, { id: -2, method: "tools/list" });
    if (!JSON.stringify(listed).includes("echo")) {
      session.close();
      return null;
    }
    started.defer(() => session.close());
    return {
      name: "mcp-hub",
      url,
      ask: session.ask,
      params: (tool, args) => ({ name: `reference__${tool}`, arguments: args }),
      processes: () => ({ node: tree(child.pid ?? 0) }),
    };
  });
}

async function startProxy(home: string, started: AsyncDisposableStack): Promise<Path | null> {
  const port = await freePort();
  const options = ["--host", "127.0.0.1", "--port", `${port}`, "--server", "stream"];
  const command = [process.execPath, SERVER, "--stdio"];
  const child = launch("mcp-proxy/dist/bin/mcp-proxy.mjs", [...options, "--", ...command], home, started);
  if (child === null) return null;
  const path: Path = {
    name: "mcp-proxy",
    url: `http://127.0.0.1:${port}/mcp`,
    params: (name, args) => ({ name, arguments: args }),
    processes: () => ({ node: [child.pid ?? 0] }), // without its child, which is the server
  };
  return once(child, path.name, async (agent) => {
    const opened = await post(agent, path, { id: -1, method: "initialize", params: INITIALIZE });
    opened.resume();
    const headers = {
      "mcp-session-id": String(opened.headers["mcp-session-id"]),
      "mcp-protocol-version": INITIALIZE.protocolVersion,
    };
    const inSession = { ...path, headers };
    (await post(agent, inSession, { method: "notifications/initialized" })).resume();
    const listed = await ask(agent, inSession, { id: -2, method: "tools/list" });
    return JSON.stringify(listed).includes("echo") ? inSession : null;
  });
}

/** Starts an installed peer, kept to loopback; `null` when it is not installed. */
function launch(bin: string, args: string[], home: string, started: AsyncDisposableStack): ChildProcess | null {
  const file = join(FOLDER, "node_modules", bin);
  if (!existsSync(file)) return null;
  // No PATH: nothing that a peer might start by itself, such as curl, is found.
  const env = { HOME: home, XDG_STATE_HOME: home, XDG_DATA_HOME: home, XDG_CONFIG_HOME: home };
  const loopback = join(FOLDER, "loopback.mjs");
  const child = spawn(process.execPath, ["--import", loopback, file, ...args], { cwd: home, env, stdio: "ignore" });
  started.defer(async () => {
    if (child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill();
    await ended;
  });
  return child;
}

/** Tries until the peer is up and has its server's tools. */
async function once(
  child: ChildProcess,
  name: string,
  open: (agent: Agent) => Promise<Path | null>,
): Promise<Path | null> {
  const giveUp = Date.now() + START_TIMEOUT_MS;
  let failure: unknown;
  while (Date.now() < giveUp && child.exitCode === null) {
    try {
      const path = await withConnections(open);
      if (path !== null) return path;
    } catch (reason) {
      failure = reason; // it does not listen yet, as a rule
    }
    await sleep(200);
  }
  throw new Error(`${name} did not come up`, { cause: failure });
}
