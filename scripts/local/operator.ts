import { createHash, randomUUID } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type DoorOptions, listening, openDoor, type PublicDoor } from "../front/door.ts";
import { controlConfig, type WorkerSetup } from "./control-config.ts";
import { damagedDatabases } from "./databases.ts";
import { watchDisk } from "./disk-watch.ts";
import { explainFileFailure } from "./file-failure.ts";
import { moveKv } from "./kv-move.ts";
import { removeLeftovers } from "./leftovers.ts";
import { startMonitor } from "./monitor.ts";
import { takeLock } from "./lock.ts";
import type { Hostility } from "./platform/hostility/hostility.ts";
import { startPlatform } from "./platform/platform.ts";
import { IS_PACKED } from "./program.ts";
import { restoreOf } from "./backup/restore.ts";
import { beginUpgrade, ownVersion } from "./release.ts";
import { readSecrets } from "./secrets.ts";
import { openState } from "./state.ts";
import { bundleWorkers, REPOSITORY } from "./workers.ts";
import { Ports } from "../system/ports.ts";
import { runtimeFolder } from "./workerd/runtime-folder.ts";
import { Supervisor } from "./workerd/supervisor.ts";
import type { Report } from "./workerd/supervisor.ts";

const ACCOUNT = "local";
const NAMESPACE = "operator";
/** The control API's entrypoint to which machine scripts are bound. */
const REPORTS = "Reports";

export interface OperatorOptions {
  readonly stateDir: string;
  /** The port for callers on 127.0.0.1; 0 takes any free one. Ignored with a public door, which has its own. */
  readonly port: number;
  /** Where callers from other computers connect. Everyone must then sign in, also programs on this computer. */
  readonly publicDoor?: PublicDoor | null;
  /** Machines get the hosts `<machine>.<domain>`. Default: the public host, or localhost. */
  readonly domain?: string | null;
  /** Port on 127.0.0.1 for health and metrics; 0 takes any free one, `null` serves none. */
  readonly metricsPort?: number | null;
  /**
   * Port on 127.0.0.1 for the dispatch Worker itself, for a gate of one's own (scripts/gates). Without it only the control API reaches
   * the dispatch Worker.
   */
  readonly dispatchPort?: number | null;
  /** Reports nothing, not even restarts. */
  readonly quiet?: boolean;
  /** Called with each line about what happens, for a person. The default writes to stderr. */
  readonly report?: Report;
  /** Called with each line that the Workers print. */
  readonly log?: Report;
  /** Called with the path for the log of a machine script or hosted server. Answers what is called with each line that it prints. */
  readonly logOf?: (path: string) => Report;
  /** Where `control-api/` and `dispatch-worker/` are: this repository, or a test's own (also OPERATOR_ROOT). */
  readonly root?: string;
  /** Where bundles of the Workers are kept, if not in the state folder. */
  readonly bundles?: string;
  /** The Workers reach nothing but each other. For a rehearsal with a copy of the state, which must not send anything twice. */
  readonly offline?: boolean;
  /** Misbehaves as Cloudflare can. For tests. */
  readonly hostility?: Hostility | null;
  /** Further vars and secrets. They override those that a local start sets. */
  readonly vars?: Readonly<Record<string, string>>;
}

export interface RunningOperator {
  /** The address for MCP clients and machines: `http://127.0.0.1:<port>`, or the public one. */
  readonly url: string;
  readonly port: number;
  readonly metricsPort: number | null;
  /** The Unix socket of the gate, which speaks plain HTTP. */
  readonly gate: string;
  /** The local platform's API, for the `cloudflare` SDK, with its token, account and namespace. */
  readonly platformUrl: string;
  readonly apiToken: string;
  readonly accountId: string;
  readonly namespace: string;
  readonly stateDir: string;
  /** The code that a person enters at `/claim` to become the owner. It works once. */
  readonly claimCode: string;
  /**
   * Bearer token for the owner's own programs on this computer. `null` with a public door, where everyone signs in.
   */
  readonly ownerToken: string | null;
  /**
   * Starts the Workers again, as a deployment of the control API does on Cloudflare: links, streams and calls through them end, while
   * the scripts of machines go on.
   */
  redeploy(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts a complete Operator on this computer. If a step fails, everything already started is stopped.
 * @throws AlreadyRunning, PortTaken, or StartFailure with what a Worker printed while it failed to start
 */
export async function startOperator(options: OperatorOptions): Promise<RunningOperator> {
  const { root = REPOSITORY, quiet = false, offline = false, hostility = null } = options;
  const report: Report = quiet ? () => {} : (options.report ?? ((line) => console.error(line)));
  const log = options.log ?? (() => {});
  await using started = new AsyncDisposableStack();

  const state = await openState(options.stateDir);
  const lock = await takeLock(state.lock);
  started.defer(() => lock.release());
  await removeLeftovers(state.folder, report);
  const upgrade = await beginUpgrade(state.folder, ownVersion(), report);
  started.defer(() => upgrade.undo());
  const secrets = await readSecrets(state.secrets);
  // A damaged database is reported and does not prevent the start: users with intact databases can go on working.
  for (const damage of await damagedDatabases(state.folder)) report(damage);
  const ports = new Ports();
  const { publicDoor = null } = options;
  const door: DoorOptions = publicDoor ?? {
    kind: "loopback",
    port: options.port || (await ports.take()),
    edge: hostility,
  };
  const url = publicDoor?.origin ?? `http://127.0.0.1:${door.port}`;
  // Unix sockets in a private folder: no other user and no web page can connect to them.
  const run = randomUUID().slice(0, 8);
  const gate = join(runtimeFolder(), `gate-${run}`);
  const reports = join(runtimeFolder(), `reports-${run}`);

  const { control, dispatch } = await bundleWorkers(root, options.bundles ?? state.bundles);

  const platform = await startPlatform({
    stateDir: state.platform,
    apiToken: secrets.CLOUDFLARE_API_TOKEN,
    services: { [control.config.name]: { default: `unix:${gate}`, [REPORTS]: `unix:${reports}` } },
    ports,
    report,
    ...(options.logOf === undefined ? {} : { logOf: options.logOf }),
    offline,
    hostility,
  });
  started.defer(() => platform.stop());
  await platform.directory.ensure(NAMESPACE);

  const domain = options.domain ?? (publicDoor === null ? "localhost" : new URL(url).hostname);
  const shared = { DOMAIN: domain, DISPATCH_SECRET: secrets.DISPATCH_SECRET };
  const vars = {
    ...shared,
    ORIGIN: url,
    REPORT_SECRET: secrets.REPORT_SECRET,
    CLAIM_CODE: secrets.CLAIM_CODE,
    CLOUDFLARE_API_URL: platform.apiUrl,
    CLOUDFLARE_API_TOKEN: secrets.CLOUDFLARE_API_TOKEN,
    CLOUDFLARE_ACCOUNT_ID: ACCOUNT,
    DISPATCH_NAMESPACE: NAMESPACE,
    PLATFORM_START: randomUUID(),
    RESTORED: (await restoreOf(state.folder)) ?? "",
    ...(publicDoor === null
      ? {
          NO_EDGE: "1",
          // The Workers get only the token's hash. The token itself stays in Node, so the Workers cannot log or leak it.
          OWNER_TOKEN_HASH: createHash("sha256").update(secrets.OWNER_TOKEN).digest("hex"),
          LOCAL_KEY: secrets.LOCAL_KEY,
          ...(IS_PACKED ? { WITHOUT_CLONE: "1" } : {}),
        }
      : {}),
    ...options.vars,
  };
  const { dispatchPort = null } = options;
  const dispatchSocket = join(runtimeFolder(), `dispatch-${run}`);
  const workers = [
    { ...control, vars, sockets: { default: `unix:${gate}`, [REPORTS]: `unix:${reports}` } },
    {
      ...dispatch,
      vars: { ...shared, ...options.vars },
      sockets: dispatchPort === null ? {} : { default: `unix:${dispatchSocket}` },
    },
  ];
  const objects = join(state.control, "do");
  await mkdir(objects, { recursive: true, mode: 0o700 });
  const config = (wanted: readonly WorkerSetup[]) =>
    controlConfig({ objects, workers: wanted, dispatch: platform.dispatch, offline });
  await moveKv({ folder: join(state.control, "kv"), workers, config, control: control.config.name, report, log });
  const supervisor = new Supervisor({
    name: "the control API",
    heapMb: hostility?.heapMb,
    config: async () => {
      // A killed process leaves its socket files behind, and the next one cannot bind to an existing file.
      for (const socket of [gate, reports, dispatchSocket]) await rm(socket, { force: true });
      return config(workers);
    },
    report,
    log,
  });
  started.defer(() => supervisor.stop());
  // The door opens before the gate starts, because a port in use is the most likely failure. A public front answers 502 with
  // `retryable: true` until the gate listens.
  const opened = await openDoor(door, { socketPath: gate }, report);
  started.use(opened);
  // Through a relay of its own and not straight to workerd, which would not notice that a gate has hung up (byte-relay.ts).
  const dispatchDoor = { kind: "loopback", port: dispatchPort ?? 0 } as const;
  if (dispatchPort !== null) started.use(await openDoor(dispatchDoor, { socketPath: dispatchSocket }, report));
  await supervisor.start();
  await lock.announce({ url, gate, version: ownVersion() }).catch((error: unknown) => {
    // Without these addresses `operator status` and a second start cannot say where this Operator is; it still serves clients.
    report(explainFileFailure(error, state.folder) ?? String(error));
  });
  const watch = watchDisk(state.folder, report);
  started.defer(() => watch.stop());
  const scripts = () => platform.directory.list().flatMap((namespace) => namespace.scripts());
  const { metricsPort = null } = options;
  const monitor =
    metricsPort === null
      ? null
      : started.use(
          await listening(
            "127.0.0.1",
            metricsPort,
            () =>
              startMonitor(metricsPort, {
                gate: { gate, url },
                stateDir: state.folder,
                scripts: () => scripts().length,
                processes: () => [
                  { kind: "front", pid: process.pid },
                  ...(supervisor.pid === null ? [] : [{ kind: "gate" as const, pid: supervisor.pid }]),
                  ...scripts().flatMap(({ pid }) => (pid === null ? [] : [{ kind: "script" as const, pid }])),
                ],
                certificateEndsMs: () => opened.certificateEndsMs,
              }),
            "--metrics-port",
          ),
        );
  void platform.wake(); // reports failures itself; platform.stop() waits for its end

  await upgrade.keep();
  const running = started.move();
  return {
    url,
    port: opened.port,
    metricsPort: monitor?.port ?? null,
    gate,
    platformUrl: platform.apiUrl,
    apiToken: secrets.CLOUDFLARE_API_TOKEN,
    accountId: ACCOUNT,
    namespace: NAMESPACE,
    stateDir: state.folder,
    claimCode: secrets.CLAIM_CODE,
    ownerToken: publicDoor === null ? secrets.OWNER_TOKEN : null,
    redeploy: async () => {
      await supervisor.stop();
      await supervisor.start();
    },
    stop: () => running.disposeAsync(),
  };
}
