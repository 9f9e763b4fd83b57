import { SCHEME_HEADER } from "../front/edge-headers.ts";
import type { Bundle } from "./bundle.ts";
import { dispatchBindings } from "./dispatch-binding/configure.ts";
import type { DispatchOptions } from "./dispatch-binding/configure.ts";
import { innerWorker } from "./inner-worker.ts";
import type { WorkerConfig } from "./worker-config.ts";
import type { Address, Binding, Config, ExtensionModule, Service, Socket } from "./workerd/config.ts";
import { OUTBOUND, outbound } from "./workerd/outbound.ts";
import { CLOUDFLARE } from "./workerd/surroundings.ts";

export interface WorkerSetup {
  readonly config: WorkerConfig;
  readonly bundle: Bundle;
  /** Vars and secrets of this start. They override those in wrangler.jsonc. */
  readonly vars: Readonly<Record<string, string>>;
  /** Addresses on which entrypoints listen, by entrypoint ("default" or a name). */
  readonly sockets: Readonly<Record<string, Address>>;
}

export interface ControlSetup {
  readonly workers: readonly WorkerSetup[];
  /** The folder for the databases of their Durable Objects. Must exist. */
  readonly objects: string;
  readonly dispatch: (namespace: string) => DispatchOptions;
  /** No request leaves this computer. */
  readonly offline?: boolean;
}

const OBJECTS = "operator-local:objects";

/** The configuration of the workerd that runs the repository's own Workers, derived from each one's wrangler.jsonc. */
export function controlConfig(setup: ControlSetup): Config {
  const parts = setup.workers.filter(isService).map((worker) => partsOf(worker, setup));
  return {
    extensions: [CLOUDFLARE, { modules: distinct(parts.flatMap(({ modules }) => modules)) }],
    sockets: parts.flatMap(({ sockets }) => sockets),
    services: [
      ...distinct(parts.flatMap(({ services }) => services)),
      ...outbound(
        setup.workers.flatMap(({ vars }) => ownOrigins(vars)),
        setup.offline === true,
      ),
      { name: OBJECTS, disk: { path: setup.objects, writable: true } },
    ],
  };
}

/**
 * Origins that the Workers may reach even if they are on this computer or its network: the platform's API, MCPAuthKit, and
 * receivers of webhooks that are allowed by name.
 */
function ownOrigins(vars: Readonly<Record<string, string>>): string[] {
  const webhooks = (vars["WEBHOOK_ORIGINS"] ?? "").split(",").map((origin) => origin.trim());
  const addresses = [...["CLOUDFLARE_API_URL", "AUTHKIT_URL"].map((name) => vars[name] ?? ""), ...webhooks];
  return addresses.filter((address) => URL.canParse(address)).map((address) => new URL(address).origin);
}

/** Whether a Worker is a service of its own. One that only others call runs in their isolates (inner-worker.ts). */
function isService({ config, sockets }: WorkerSetup): boolean {
  return hasState(config) || Object.keys(sockets).length > 0;
}

function hasState({ migrations }: WorkerConfig): boolean {
  return migrations.length > 0;
}

interface Parts {
  readonly services: readonly Service[];
  readonly sockets: readonly Socket[];
  readonly modules: readonly ExtensionModule[];
}

function partsOf(setup: WorkerSetup, all: ControlSetup): Parts {
  const { config, bundle, sockets } = setup;
  const { bindings, services, modules } = boundTo(setup, all);
  const classes = [
    ...config.migrations.flatMap((step) => step.new_sqlite_classes.map((name) => ({ name, enableSql: true }))),
    ...config.migrations.flatMap((step) => step.new_classes.map((name) => ({ name, enableSql: false }))),
  ];
  const worker: Service = {
    name: config.name,
    worker: {
      modules: bundle.modules,
      compatibilityDate: config.compatibility_date,
      compatibilityFlags: config.compatibility_flags,
      globalOutbound: { name: OUTBOUND },
      bindings,
      ...(classes.length === 0
        ? {}
        : {
            durableObjectNamespaces: classes.map(({ name, enableSql }) => ({
              className: name,
              // Part of the folder name of its databases: changing it would lose stored data.
              uniqueKey: `${config.name}-${name}`,
              enableSql,
            })),
            durableObjectStorage: { localDisk: OBJECTS },
          }),
    },
  };
  return {
    services: [worker, ...services],
    modules,
    sockets: Object.entries(sockets).map(([entrypoint, address]) => ({
      name: `${config.name}/${entrypoint}`,
      address,
      // workerd takes the scheme of `request.url` from this header. A public front sets it and drops the client's own.
      http: { forwardedProtoHeader: SCHEME_HEADER },
      service: { name: config.name, ...(entrypoint === "default" ? {} : { entrypoint }) },
    })),
  };
}

interface Bound {
  readonly bindings: readonly Binding[];
  /** What the bindings need beside the Worker. Two Workers may need the same. */
  readonly services: readonly Service[];
  readonly modules: readonly ExtensionModule[];
}

/**
 * A Worker's bindings. A Worker without state that it calls runs in its isolate.
 * @param isInner whether it runs in another one's isolate, which pipes the answers of scripts itself (control-api/src/sign-in/lease.ts)
 */
function boundTo({ config, vars }: WorkerSetup, all: ControlSetup, isInner = false): Bound {
  const namespaces = config.dispatch_namespaces.map(({ binding, namespace }) => [binding, all.dispatch(namespace)]);
  const dispatched = dispatchBindings(Object.fromEntries(namespaces) as Record<string, DispatchOptions>, !isInner);
  const called = config.services.map(({ binding, service, entrypoint }): Bound => {
    const target = all.workers.find((worker) => worker.config.name === service);
    if (target === undefined || entrypoint !== undefined || hasState(target.config))
      return {
        bindings: [{ name: binding, service: { name: service, ...(entrypoint === undefined ? {} : { entrypoint }) } }],
        services: [],
        modules: [],
      };
    const own = boundTo(target, all, true);
    const inner = innerWorker(binding, service, target.bundle, own.bindings);
    return { ...own, bindings: [inner.binding], modules: [...own.modules, ...inner.modules] };
  });
  return {
    bindings: [
      ...Object.entries({ ...config.vars, ...vars }).map(([name, value]) =>
        typeof value === "string" ? { name, text: value } : { name, json: JSON.stringify(value) },
      ),
      ...config.durable_objects.bindings.map(({ name, class_name, script_name }) => ({
        name,
        durableObjectNamespace: {
          className: class_name,
          ...(script_name === undefined || script_name === config.name ? {} : { serviceName: script_name }),
        },
      })),
      ...dispatched.bindings,
      ...called.flatMap(({ bindings }) => bindings),
    ],
    services: [...dispatched.services, ...called.flatMap(({ services }) => services)],
    modules: [...dispatched.extensions.flatMap(({ modules }) => modules), ...called.flatMap(({ modules }) => modules)],
  };
}

/** Each once by its name. */
function distinct<Named extends { readonly name: string }>(all: readonly Named[]): Named[] {
  return [...new Map(all.map((one) => [one.name, one])).values()];
}
