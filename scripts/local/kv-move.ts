import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import * as z from "zod";
import type { WorkerSetup } from "./control-config.ts";
import type { Config } from "./workerd/config.ts";
import { KV_CLASS_FOLDER, kvBinding, kvParts } from "./workerd/kv.ts";
import { startWorkerd } from "./workerd/process.ts";
import { runtimeFolder } from "./workerd/runtime-folder.ts";
import type { Report } from "./workerd/supervisor.ts";

/** The only KV namespace of release 0.1: OAuth clients, grants and tokens. */
const NAMESPACE = "OAUTH_KV";
/** The control API's entrypoint that imports them (control-api/src/sign-in/oauth/store/import.ts). */
const IMPORT = "OAuthImport";
const MOVER = "operator-local:kv-move";
/** A few hundred sign-ins take a second. A move that takes longer than this hangs. */
const MOVE_TIMEOUT_MS = 60_000;

/** Reads all keys of the old namespace with expiry and metadata, and sends them to the import entrypoint page by page. */
const SOURCE = `export default {
  async fetch(request, { OLD, IMPORT }) {
    let moved = 0;
    for (let cursor; ; ) {
      const page = await OLD.list({ cursor, limit: 100 });
      const values = await Promise.all(page.keys.map(({ name }) => OLD.get(name)));
      const entries = page.keys.flatMap((key, index) => (values[index] === null ? [] : [{ ...key, value: values[index] }]));
      const answer = await IMPORT.fetch("http://import/", { method: "POST", body: JSON.stringify({ entries }) });
      if (!answer.ok) return new Response(await answer.text(), { status: 502 });
      moved += (await answer.json()).moved;
      if (page.list_complete) return Response.json({ moved });
      cursor = page.cursor;
    }
  },
};`;

export interface KvMove {
  /** The folder of release 0.1's KV namespace. */
  readonly folder: string;
  /** The control API and the Workers to which it is bound. */
  readonly workers: readonly WorkerSetup[];
  readonly config: (workers: readonly WorkerSetup[]) => Config;
  /** Name of the Worker that has the entrypoint. */
  readonly control: string;
  readonly report: Report;
  readonly log: Report;
}

/**
 * Moves the sign-ins of release 0.1 from their KV namespace into the control API's Durable Objects, and deletes the
 * namespace. Does nothing if there is none. It must run before the control API accepts requests: if a person signed out
 * during the move, the rest of the move could sign that person in again.
 *
 * @throws Error that says what to do. The old folder then still exists, and the next start tries again
 */
export async function moveKv({ folder, workers, config, control, report, log }: KvMove): Promise<void> {
  if (!existsSync(join(folder, KV_CLASS_FOLDER))) return;
  const socket = join(runtimeFolder(), `move-${randomUUID().slice(0, 8)}`);
  const own = config(workers.map((worker) => ({ ...worker, sockets: {} })));
  const kv = kvParts(folder);
  const mover = {
    modules: [{ name: "mover.js", esModule: SOURCE }],
    compatibilityDate: "2026-08-01",
    bindings: [kvBinding("OLD", NAMESPACE), { name: "IMPORT", service: { name: control, entrypoint: IMPORT } }],
  };
  try {
    const workerd = await startWorkerd(
      "the move of release 0.1's sign-ins",
      {
        ...own,
        sockets: [{ name: MOVER, address: `unix:${socket}`, http: {}, service: { name: MOVER } }],
        services: [...own.services, { name: MOVER, worker: mover }, ...kv.services],
        extensions: [...(own.extensions ?? []), ...kv.extensions],
      },
      log,
    );
    const moved = await ask(socket).finally(() => workerd.kill());
    report(
      `Moved ${moved} entries of release 0.1's sign-in storage (${folder}) into the new one. The old folder is now deleted.`,
    );
  } catch (reason) {
    throw new Error(
      `The sign-ins that release 0.1 kept in ${folder} could not be moved: ${String(reason)}\n` +
        "Put back a copy of that folder and start again. Without one, delete it: then every app has to sign in again.",
      { cause: reason },
    );
  }
  await rm(folder, { recursive: true, force: true });
}

const Moved = z.object({ moved: z.int() });

function ask(socketPath: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, method: "POST", signal: AbortSignal.timeout(MOVE_TIMEOUT_MS) }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("error", reject);
      response.on("end", () => {
        if (response.statusCode !== 200) return reject(new Error(`HTTP ${response.statusCode}: ${text.slice(0, 300)}`));
        resolve(Moved.parse(JSON.parse(text)).moved);
      });
    });
    asked.on("error", reject);
    asked.end();
  });
}
