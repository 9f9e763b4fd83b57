import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { convertV4MiniflareOptions, Miniflare, type V4WorkerOptions } from "miniflare";
import { TUNABLES } from "../local/workerd/process.ts";
import { isWorkerd, tree } from "./processes.ts";

export type BareRelay = AsyncDisposable & { url: string; processes: () => Record<string, number[]> };

/** The baseline: a relay with the same hops as Operator and no features. */
export async function startBareRelay(serverUrl: string): Promise<BareRelay> {
  const script = readFileSync(new URL("bare-relay-worker.js", import.meta.url), "utf8");
  const relay = await startWorker(script, { durableObjects: { RELAY: "Relay" } });
  const client: ChildProcess = fork(fileURLToPath(new URL("bare-relay-client.ts", import.meta.url)), [
    relay.url.replace("http", "ws"),
    serverUrl,
  ]);
  await once(client, "message");
  return {
    url: relay.url,
    processes: () => ({ workerd: relay.pids, client: client.pid === undefined ? [] : [client.pid] }),
    async [Symbol.asyncDispose]() {
      client.kill();
      await relay.miniflare.dispose();
    },
  };
}

/**
 * The bare relay as a script in a process of its own, behind a gate that passes every request on as it is. Operator has these two processes
 * because a script must not be able to stop the gate (README.md, "What was tried"), so this is the least that a call can take there.
 */
export async function startBareGate(relay: BareRelay): Promise<BareRelay> {
  const script = "export default { fetch: (request, env) => env.SCRIPT.fetch(request) };";
  const address = new URL(relay.url).host;
  const gate = await startWorker(script, { serviceBindings: { SCRIPT: { external: { address, http: {} } } } });
  return {
    url: gate.url,
    processes: () => ({ gate: gate.pids, ...relay.processes() }),
    [Symbol.asyncDispose]: () => gate.miniflare.dispose(),
  };
}

type Bindings = Partial<Pick<V4WorkerOptions, "durableObjects" | "serviceBindings">>;

async function startWorker(
  script: string,
  bindings: Bindings,
): Promise<{ url: string; pids: number[]; miniflare: Miniflare }> {
  const before = new Set(tree(process.pid));
  // The allocator of Operator's workerds has the same setting. Miniflare passes this process's environment on.
  process.env["GLIBC_TUNABLES"] ??= TUNABLES;
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script,
      cf: false,
      name: "worker",
      compatibilityDate: "2026-08-01",
      ...bindings,
      unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
    }),
  );
  await miniflare.ready;
  const url = (await miniflare.unsafeGetDirectURL("worker")).href;
  return { url, pids: tree(process.pid).filter((pid) => !before.has(pid) && isWorkerd(pid)), miniflare };
}
