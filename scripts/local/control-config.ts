import { SCHEME_HEADER } from "../front/edge-headers.ts";
import type { Bundle } from "./bundle.ts";
import { dispatchBindings } from "./dispatch-binding/configure.ts";
import type { DispatchOptions } from "./dispatch-binding/configure.ts";
import type { WorkerConfig } from "./worker-config.ts";
import type { Address, Binding, Config, Extension, Service, Socket } from "./workerd/config.ts";
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
  const parts = setup.workers.map((worker) => partsOf(worker, setup));
  return {
    extensions: [CLOUDFLARE, ...parts.flatMap(({ extensions }) => extensions)],
    sockets: parts.flatMap(({ sockets }) => sockets),
    services: [
      ...parts.flatMap(({ services }) => services),
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

interface Parts {
  readonly services: readonly Service[];
  readonly sockets: readonly Socket[];
  readonly extensions: readonly Extension[];
}

function partsOf({ config, bundle, vars, sockets }: WorkerSetup, { dispatch }: ControlSetup): Parts {
  const namespaces = config.dispatch_namespaces.map(({ binding, namespace }) => [binding, dispatch(namespace)]);
  const dispatched = dispatchBindings(Object.fromEntries(namespaces) as Record<string, DispatchOptions>);
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
      bindings: [...bindingsOf(config, vars), ...dispatched.bindings],
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
    services: [worker, ...dispatched.services],
    extensions: dispatched.extensions,
    sockets: Object.entries(sockets).map(([entrypoint, address]) => ({
      name: `${config.name}/${entrypoint}`,
      address,
      // workerd takes the scheme of `request.url` from this header. A public front sets it and drops the client's own.
      http: { forwardedProtoHeader: SCHEME_HEADER },
      service: { name: config.name, ...(entrypoint === "default" ? {} : { entrypoint }) },
    })),
  };
}

function bindingsOf(config: WorkerConfig, vars: Readonly<Record<string, string>>): Binding[] {
  return [
    ...Object.entries({ ...config.vars, ...vars }).map(([name, value]) =>
      typeof value === "string" ? { name, text: value } : { name, json: JSON.stringify(value) },
    ),
    ...config.services.map(({ binding, service, entrypoint }) => ({
      name: binding,
      service: { name: service, ...(entrypoint === undefined ? {} : { entrypoint }) },
    })),
    ...config.durable_objects.bindings.map(({ name, class_name, script_name }) => ({
      name,
      durableObjectNamespace: {
        className: class_name,
        ...(script_name === undefined || script_name === config.name ? {} : { serviceName: script_name }),
      },
    })),
  ];
}
