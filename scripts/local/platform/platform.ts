import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { FreeSpace } from "../../system/free-space.ts";
import { Ports } from "../../system/ports.ts";
import type { Report } from "../workerd/supervisor.ts";
import { API_PATH, platformApi } from "./api.ts";
import { CpuWatch } from "./cpu-watch.ts";
import { Directory } from "./directory.ts";
import { DiskReserve } from "./disk-reserve.ts";
import { withFaults } from "./hostility/api-faults.ts";
import { Chances, type Hostility } from "./hostility/hostility.ts";
import { Restarts } from "./hostility/restarts.ts";
import { IdleScripts } from "./idle-scripts.ts";
import { routeLookup } from "./route-lookup.ts";
import { type Handler, serve } from "./server.ts";
import { bears } from "./token.ts";
import type { Services } from "./script-config.ts";
import { isMachine } from "./user-script.ts";
import type { DispatchOptions } from "../dispatch-binding/configure.ts";

export interface PlatformOptions {
  /** Where namespaces, scripts and their storage are kept. */
  readonly stateDir: string;
  /** Bearer token that callers of the API must send. */
  readonly apiToken: string;
  readonly services?: Services;
  readonly port?: number;
  readonly ports?: Ports;
  readonly report?: Report;
  /** Called with the path for a script's log. Answers what is called with each line that the script prints. */
  readonly logOf?: (path: string) => Report;
  /** No request of a script leaves this computer. */
  readonly offline?: boolean;
  /** Misbehaves as Cloudflare can. For tests. */
  readonly hostility?: Hostility | null;
  /** What is free on the disk of `stateDir`; without it what the system says. */
  readonly freeSpace?: () => Promise<FreeSpace>;
}

export interface Platform {
  /** The `baseURL` for the `cloudflare` SDK. */
  readonly apiUrl: string;
  readonly directory: Directory;
  /** Options for `dispatchBindings()` that bind a Worker to one of this platform's namespaces. */
  dispatch(namespace: string): DispatchOptions;
  /** Starts each script when an alarm of it is due. Otherwise a script starts when it is called. */
  wake(): Promise<void>;
  stop(): Promise<void>;
}

const silent: Report = () => {};

/** Workers for Platforms on this computer. */
export async function startPlatform(options: PlatformOptions): Promise<Platform> {
  const { report = silent, logOf = () => silent, services = {}, ports = new Ports(), offline = false } = options;
  const { hostility = null } = options;
  const unkind =
    hostility === null ? null : { hostility, chances: new Chances(hostility.seed), restarts: new Restarts(hostility) };
  const folder = join(options.stateDir, "namespaces");
  let reserve: DiskReserve | null = null;
  const directory = await Directory.open(folder, {
    ports,
    services,
    report,
    logOf,
    offline,
    unkind,
    holds: async (script) => !isMachine(script.record) && (await reserve?.holds(script)) === true,
  });
  const lookupToken = randomBytes(32).toString("hex");
  const lookup = routeLookup(directory, lookupToken);
  const api = platformApi(directory, options.apiToken);
  const answer: Handler = (request) => api.fetch(request);
  const answerApi = unkind === null ? answer : withFaults(answer, unkind.hostility, unkind.chances);
  const server = await serve(
    (request) => (new URL(request.url).pathname.startsWith("/dispatch/") ? lookup.fetch(request) : answerApi(request)),
    options.port ?? 0,
    (authorization) => bears(authorization, options.apiToken) || bears(authorization, lookupToken),
  );
  const host = `127.0.0.1:${server.port}`;
  const scripts = () => directory.list().flatMap((namespace) => namespace.scripts());
  const idle = new IdleScripts({ scripts, report });
  const cpu = new CpuWatch({ scripts, report });
  const { freeSpace } = options;
  reserve = new DiskReserve({
    folder,
    scripts: () => scripts().filter((script) => !isMachine(script.record)),
    report,
    ...(freeSpace === undefined ? {} : { freeSpace }),
  });
  let waking: Promise<void> | undefined;

  return {
    apiUrl: `http://${host}${API_PATH}`,
    directory,
    dispatch: (namespace) => ({ platform: host, token: lookupToken, namespace }),
    wake: () => (waking = idle.wake()),
    async stop() {
      unkind?.restarts.stop();
      cpu.stop();
      await reserve?.stop();
      const stopped = idle.stop();
      await server.stop();
      await stopped;
      await waking;
      await directory.stop();
    },
  };
}
