import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Cloudflare from "cloudflare";
import { onTestFinished } from "vitest";
import { dispatchBindings } from "../../../../scripts/local/dispatch-binding/configure.ts";
import type { Hostility } from "../../../../scripts/local/platform/hostility/hostility.ts";
import { startPlatform } from "../../../../scripts/local/platform/platform.ts";
import type { Platform } from "../../../../scripts/local/platform/platform.ts";
import type { FreeSpace } from "../../../../scripts/system/free-space.ts";
import { unusedPort } from "../../../support/unused-port.ts";
import { startWorkerd } from "../../../../scripts/local/workerd/process.ts";

export const TOKEN = "test-token";

/** An unkind platform of which nothing unkind is to be expected. A test says what is. */
const GENTLE: Hostility = {
  seed: 1,
  lateMs: 0,
  busyShare: 0,
  retryAfterMs: 10,
  lostShare: 0,
  restartShare: 0,
  restartMs: 0,
  heapMb: 256,
  silenceMs: 100_000,
  refusesNameless: false,
};
export const NAMESPACE = "operator";

export interface Bench {
  readonly platform: Platform;
  readonly client: Cloudflare;
  /** Namespaces' part of the SDK. */
  readonly namespaces: Cloudflare["workersForPlatforms"]["dispatch"]["namespaces"];
  readonly reports: readonly string[];
  /** The logs of the scripts, in the order in which they were opened. */
  readonly logs: readonly { readonly path: string; readonly lines: readonly string[] }[];
  readonly stateDir: string;
}

export async function temporaryFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "operator-test-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** A platform with its namespace, and the real SDK pointed at it; both end with the test. */
export async function bench(
  options: {
    stateDir?: string;
    services?: Record<string, Record<string, string>>;
    hostility?: Partial<Hostility>;
    freeSpace?: () => Promise<FreeSpace>;
  } = {},
): Promise<Bench> {
  const stateDir = options.stateDir ?? (await temporaryFolder());
  const reports: string[] = [];
  const logs: { path: string; lines: string[] }[] = [];
  const platform = await startPlatform({
    stateDir,
    apiToken: TOKEN,
    services: options.services ?? {},
    ...(options.freeSpace === undefined ? {} : { freeSpace: options.freeSpace }),
    hostility: options.hostility === undefined ? null : { ...GENTLE, ...options.hostility },
    report: (line) => reports.push(line),
    logOf: (path) => {
      const log = { path, lines: [] as string[] };
      logs.push(log);
      return (line) => log.lines.push(line);
    },
  });
  onTestFinished(() => platform.stop());
  await platform.directory.ensure(NAMESPACE);
  const client = sdk(platform.apiUrl, TOKEN);
  return { platform, client, namespaces: client.workersForPlatforms.dispatch.namespaces, reports, logs, stateDir };
}

export function sdk(baseURL: string, apiToken: string): Cloudflare {
  return new Cloudflare({ apiToken, baseURL, maxRetries: 0 });
}

export interface UploadOptions {
  readonly bindings?: readonly object[];
  readonly tags?: readonly string[];
  readonly migrations?: object;
  readonly [key: string]: unknown;
}

/** Uploads a script of one module, in the form that the API documents, over the SDK's own connection. */
export async function upload(client: Cloudflare, name: string, source: string, options: UploadOptions = {}) {
  const metadata = {
    main_module: "index.js",
    compatibility_date: "2026-08-01",
    compatibility_flags: ["nodejs_compat"],
    ...options,
  };
  const body = new FormData();
  body.set("metadata", JSON.stringify(metadata));
  body.set("index.js", new File([source], "index.js", { type: "application/javascript+module" }));
  const path = `/accounts/local/workers/dispatch/namespaces/${NAMESPACE}/scripts/${encodeURIComponent(name)}`;
  const { result } = await client.put<{ result: Uploaded }>(path, { body });
  return result;
}

type Uploaded = Cloudflare.WorkersForPlatforms.Dispatch.Namespaces.ScriptUpdateResponse;

/** A dispatch Worker: the first label of the host names the script; errors come back as 500 with their message. */
const GATE = `export default {
  async fetch(request, env) {
    const name = decodeURIComponent(request.headers.get("x-script"));
    const headers = new Headers(request.headers);
    headers.delete("x-script");
    try {
      return await env.DISPATCH.get(name, {}, { limits: { cpuMs: 50, subRequests: 5 } }).fetch(new Request(request, { headers }));
    } catch (error) {
      return new Response(String(error.message), { status: 500, headers: { "x-thrown": "yes" } });
    }
  },
};`;

export interface Gate {
  readonly url: URL;
  /** Calls a script through the binding. */
  call(script: string, path?: string, init?: RequestInit): Promise<Response>;
}

export async function gate(platform: Pick<Platform, "dispatch">, source = GATE): Promise<Gate> {
  const { bindings, services, extensions } = dispatchBindings({ DISPATCH: platform.dispatch(NAMESPACE) }, true);
  const address = `127.0.0.1:${await unusedPort()}`;
  const worker = { modules: [{ name: "gate.js", esModule: source }], compatibilityDate: "2026-08-01", bindings };
  const workerd = await startWorkerd(
    "the gate",
    {
      sockets: [{ name: "gate", address, http: {}, service: { name: "gate" } }],
      services: [{ name: "gate", worker }, ...services],
      extensions,
    },
    () => {},
  );
  onTestFinished(() => workerd.kill());
  const url = new URL(`http://${address}`);
  return {
    url,
    call: (script, path = "/", init = {}) => {
      const headers = new Headers(init.headers);
      headers.set("x-script", encodeURIComponent(script));
      return fetch(new URL(path, url), { ...init, headers });
    },
  };
}

/** Resolves once `probe` answers something; the bound is for a run that has gone wrong, not a measurement. */
export async function eventually<T>(probe: () => Promise<T | undefined> | T | undefined, what: string): Promise<T> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    const value = await probe();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`never happened: ${what}`);
}
