import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { inject } from "vitest";
import { bundleWorker } from "../../../../scripts/local/bundle.ts";
import { readWorkerConfig } from "../../../../scripts/local/worker-config.ts";
import { temporaryFolder } from "./harness.ts";
import "./stand-in-folder.ts";

const CONTROL = `// A control API that can be seen through.
{
  "name": "operator",
  "main": "src/index.js",
  "compatibility_date": "2026-08-01",
  "services": [{ "binding": "DISPATCHER", "service": "operator-dispatch" }],
  "durable_objects": { "bindings": [{ "name": "USER", "class_name": "User" }] },
  "migrations": [{ "tag": "v1", "new_sqlite_classes": ["User"] }],
  "rules": [{ "type": "Data", "globs": ["**/*.tgz"], "fallthrough": true }],
  "vars": { "ORIGIN": "overridden" }, /* by the start */
}`;
const CONTROL_SOURCE = `
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import tarball from "../build/codez.tgz";
export class User extends DurableObject {
  async fetch(request) {
    const { sql, kv } = this.ctx.storage;
    if (request.method === "POST") kv.put("imported", [...(kv.get("imported") ?? []), ...(await request.json()).entries]);
    if (request.url.endsWith("/imported")) return Response.json(kv.get("imported") ?? []);
    sql.exec("CREATE TABLE IF NOT EXISTS calls (n)");
    sql.exec("INSERT INTO calls VALUES (1)");
    return new Response(String(sql.exec("SELECT count(*) AS n FROM calls").one().n));
  }
}
export class Reports extends WorkerEntrypoint {
  async fetch(request) {
    return new Response("reported " + (await request.text()));
  }
}
export class OAuthImport extends WorkerEntrypoint {
  async fetch(request) {
    const text = await request.text();
    if (text.includes("refuse me")) return new Response("refused", { status: 400 });
    await this.env.USER.getByName("owner").fetch("http://user/imported", { method: "POST", body: text });
    return Response.json({ moved: JSON.parse(text).entries.length });
  }
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname === "/imported") return env.USER.getByName("owner").fetch(request);
    if (url.pathname === "/log") return console.log("x".repeat(1000)), new Response("logged");
    if (url.pathname === "/count") return env.USER.getByName("owner").fetch(request);
    if (url.pathname === "/about")
      return Response.json({
        host: request.headers.get("host"), tarball: tarball.byteLength,
        vars: { ORIGIN: env.ORIGIN, DOMAIN: env.DOMAIN, OWNER_TOKEN_HASH: env.OWNER_TOKEN_HASH, LOOPBACK_OWNER: env.LOOPBACK_OWNER, api: env.CLOUDFLARE_API_URL, account: env.CLOUDFLARE_ACCOUNT_ID, namespace: env.DISPATCH_NAMESPACE },
        secrets: [env.DISPATCH_SECRET, env.REPORT_SECRET, env.CLOUDFLARE_API_TOKEN].map((secret) => secret.length),
      });
    return env.DISPATCHER.fetch(request);
  },
};`;
const DISPATCH = `{
  "name": "operator-dispatch",
  "main": "src/index.js",
  "compatibility_date": "2026-08-01",
  "dispatch_namespaces": [{ "binding": "DISPATCH", "namespace": "operator" }],
  "vars": { "DOMAIN": "localhost" },
}`;
const DISPATCH_SOURCE = `export default {
  async fetch(request, env) {
    const slug = new URL(request.url).pathname.split("/")[1];
    try { return await env.DISPATCH.get(slug).fetch(request); }
    catch (error) { return new Response(error.message, { status: 404 }); }
  },
};`;

/** Fills a folder with two Workers of the shape of the real ones, small enough to see through. */
async function writeStandIn(root: string): Promise<void> {
  const files: Record<string, string> = {
    "control-api/wrangler.jsonc": CONTROL,
    "control-api/src/index.js": CONTROL_SOURCE,
    "control-api/build/codez.tgz": "four",
    "dispatch-worker/wrangler.jsonc": DISPATCH,
    "dispatch-worker/src/index.js": DISPATCH_SOURCE,
  };
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(root, dirname(path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
}

/** Stand-in Workers of one test's own, to be changed. */
export async function standInRoot(): Promise<string> {
  const root = await temporaryFolder();
  await writeStandIn(root);
  return root;
}

export interface StandIn {
  readonly root: string;
  /** A new state folder in which the Workers are already bundled, which takes most of a start. */
  newState(): Promise<string>;
}

/** Stand-in Workers that all tests share and none changes. The first file that needs them bundles them. */
export async function sharedStandIn(): Promise<StandIn> {
  const folder = inject("standIn");
  const root = join(folder, "root");
  const bundles = join(folder, "bundles");
  await made(root, writeStandIn);
  await made(bundles, async (draft) => {
    for (const name of ["control-api", "dispatch-worker"]) {
      const path = join(root, name, "wrangler.jsonc");
      await bundleWorker(path, await readWorkerConfig(path), join(draft, name));
    }
  });
  return {
    root,
    async newState() {
      const state = await temporaryFolder();
      await cp(bundles, join(state, "bundles"), { recursive: true });
      return state;
    },
  };
}

/** Makes a folder that is there whole or not at all. Of two test files that make it at the same time, one comes first. */
async function made(folder: string, make: (draft: string) => Promise<void>): Promise<void> {
  if (existsSync(folder)) return;
  const draft = `${folder}-${randomUUID()}`;
  await make(draft);
  await rename(draft, folder).catch(async (error: unknown) => {
    if (!existsSync(folder)) throw error;
    await rm(draft, { recursive: true });
  });
}
