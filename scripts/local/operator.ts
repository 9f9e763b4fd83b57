import { randomUUID } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundleWorker } from "./bundle.ts";
import { controlConfig } from "./control-config.ts";
import { watchDisk } from "./disk-watch.ts";
import { explainFileFailure } from "./file-failure.ts";
import { takeLock } from "./lock.ts";
import { startPlatform } from "./platform/platform.ts";
import { readSecrets } from "./secrets.ts";
import { openState } from "./state.ts";
import { readWorkerConfig } from "./worker-config.ts";
import { Ports } from "../system/ports.ts";
import { runtimeFolder } from "./workerd/runtime-folder.ts";
import { Supervisor } from "./workerd/supervisor.ts";
import type { Report } from "./workerd/supervisor.ts";

const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url));
const ACCOUNT = "local";
const NAMESPACE = "operator";
/** The control API's entrypoint that machine scripts are bound to. */
const REPORTS = "Reports";

export interface OperatorOptions {
  readonly stateDir: string;
  /** The callers' port on 127.0.0.1; 0 takes any that is free. */
  readonly port: number;
  /** Says nothing, not even what is restarted. */
  readonly quiet?: boolean;
  /** What happens, line by line, for a person; the default writes to stderr. */
  readonly report?: Report;
  /** What the Workers print. */
  readonly log?: Report;
  /** Where `control-api/` and `dispatch-worker/` are: this repository, or a test's own (also OPERATOR_ROOT). */
  readonly root?: string;
  /** Vars and secrets beyond those that a local start sets itself. */
  readonly vars?: Readonly<Record<string, string>>;
}

export interface RunningOperator {
  /** `http://127.0.0.1:<port>`, for MCP clients and machines. */
  readonly url: string;
  readonly port: number;
  /** The local platform's API, for the `cloudflare` SDK, with its token, account and namespace. */
  readonly platformUrl: string;
  readonly apiToken: string;
  readonly accountId: string;
  readonly namespace: string;
  readonly stateDir: string;
  /** What its owner enters at `/claim`, as long as there is none. */
  readonly claimCode: string;
  stop(): Promise<void>;
}

/**
 * Brings up a whole Operator on this computer. When anything fails, what was already started is stopped.
 * @throws AlreadyRunning, PortTaken, or what a Worker said while it failed to start
 */
export async function startOperator(options: OperatorOptions): Promise<RunningOperator> {
  const { root = process.env["OPERATOR_ROOT"] || REPOSITORY, quiet = false } = options;
  const report: Report = quiet ? () => {} : (options.report ?? ((line) => console.error(line)));
  const log = options.log ?? (() => {});
  await using started = new AsyncDisposableStack();

  const state = await openState(options.stateDir);
  const lock = await takeLock(state.lock);
  started.defer(() => lock.release());
  const secrets = await readSecrets(state.secrets);
  const ports = new Ports();
  const port = options.port === 0 ? await ports.take() : await checkFree(options.port);
  // A Unix socket in a folder of ours: no other user and no web page gets that far.
  const reports = join(runtimeFolder(), `reports-${port}`);
  const url = `http://127.0.0.1:${port}`;

  const [control, dispatch] = await Promise.all(
    ["control-api", "dispatch-worker"].map(async (name) => {
      const path = join(root, name, "wrangler.jsonc");
      const config = await readWorkerConfig(path);
      return { config, bundle: await bundleWorker(path, config, join(state.bundles, name)) };
    }),
  );
  if (!control || !dispatch) throw new Error("unreachable: two Workers were asked for");

  const platform = await startPlatform({
    stateDir: state.platform,
    apiToken: secrets.CLOUDFLARE_API_TOKEN,
    services: { [control.config.name]: { default: url, [REPORTS]: `unix:${reports}` } },
    ports,
    report,
    log,
  });
  started.defer(() => platform.stop());
  await platform.directory.ensure(NAMESPACE);

  const shared = { DOMAIN: "localhost", DISPATCH_SECRET: secrets.DISPATCH_SECRET };
  const vars = {
    ...shared,
    ORIGIN: url,
    REPORT_SECRET: secrets.REPORT_SECRET,
    CLAIM_CODE: secrets.CLAIM_CODE,
    CLOUDFLARE_API_URL: platform.apiUrl,
    CLOUDFLARE_API_TOKEN: secrets.CLOUDFLARE_API_TOKEN,
    CLOUDFLARE_ACCOUNT_ID: ACCOUNT,
    DISPATCH_NAMESPACE: NAMESPACE,
    LOOPBACK_OWNER: "owner",
    PLATFORM_START: randomUUID(),
    ...options.vars,
  };
  const workers = [
    { ...control, vars, sockets: { default: `127.0.0.1:${port}`, [REPORTS]: `unix:${reports}` } },
    { ...dispatch, vars: { ...shared, ...options.vars }, sockets: {} },
  ];
  const folders = { objects: join(state.control, "do"), kv: join(state.control, "kv") };
  for (const path of Object.values(folders)) await mkdir(path, { recursive: true, mode: 0o700 });
  const supervisor = new Supervisor({
    name: "the control API",
    config: async () => {
      await rm(reports, { force: true }); // a killed process leaves its socket's file, which the next one cannot bind
      return controlConfig({ ...folders, workers, dispatch: platform.dispatch });
    },
    report,
    log,
  });
  started.defer(() => supervisor.stop());
  await supervisor.start();
  await lock.announce(url).catch((error: unknown) => {
    // Only a second start would read it, to say where this one is.
    report(explainFileFailure(error, state.folder) ?? String(error));
  });
  const watch = watchDisk(state.folder, report);
  started.defer(() => watch.stop());
  void platform.wake(); // reports by itself, and ends with the platform

  const running = started.move();
  return {
    url,
    port,
    platformUrl: platform.apiUrl,
    apiToken: secrets.CLOUDFLARE_API_TOKEN,
    accountId: ACCOUNT,
    namespace: NAMESPACE,
    stateDir: state.folder,
    claimCode: secrets.CLAIM_CODE,
    stop: () => running.disposeAsync(),
  };
}

export class PortTaken extends Error {
  override name = "PortTaken";

  constructor(port: number) {
    super(`port ${port} on 127.0.0.1 is taken by another program; start with --port or OPERATOR_PORT`);
  }
}

function checkFree(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", () => reject(new PortTaken(port)));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(port)));
  });
}
