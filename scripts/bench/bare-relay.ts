import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { TUNABLES } from "../local/workerd/process.ts";
import { isWorkerd, tree } from "./processes.ts";

/** The baseline: a relay with the same hops as Operator and no features. */
export type BareRelay = AsyncDisposable & { url: string; processes: () => Record<string, number[]> };

export async function startBareRelay(serverUrl: string): Promise<BareRelay> {
  const script = readFileSync(new URL("bare-relay-worker.js", import.meta.url), "utf8");
  const before = new Set(tree(process.pid));
  // The allocator of Operator's workerds has the same setting. Miniflare passes this process's environment on.
  process.env["GLIBC_TUNABLES"] ??= TUNABLES;
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script,
      cf: false,
      name: "relay",
      compatibilityDate: "2026-08-01",
      durableObjects: { RELAY: "Relay" },
      unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
    }),
  );
  await miniflare.ready;
  const url = (await miniflare.unsafeGetDirectURL("relay")).href;
  const workerds = tree(process.pid).filter((pid) => !before.has(pid) && isWorkerd(pid));
  const client: ChildProcess = fork(fileURLToPath(new URL("bare-relay-client.ts", import.meta.url)), [
    url.replace("http", "ws"),
    serverUrl,
  ]);
  await once(client, "message");
  return {
    url,
    processes: () => ({ workerd: workerds, client: client.pid === undefined ? [] : [client.pid] }),
    async [Symbol.asyncDispose]() {
      client.kill();
      await miniflare.dispose();
    },
  };
}
