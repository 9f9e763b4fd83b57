import type { MiniflareOptions } from "miniflare";
import type { Bundle } from "./bundle.ts";
import { dispatchBinding } from "./dispatch-binding/plugin.ts";
import type { DispatchOptions } from "./dispatch-binding/plugin.ts";
import type { WorkerConfig } from "./worker-config.ts";

type Worker = MiniflareOptions["workers"][number];
type Env = NonNullable<Worker["config"]["env"]>;

export interface WorkerSetup {
  readonly config: WorkerConfig;
  readonly bundle: Bundle;
  /** Vars and secrets of this computer, before those of the configuration. */
  readonly vars: Readonly<Record<string, string>>;
  /** Entrypoints ("default" or a name) and the ports on 127.0.0.1 where they listen. */
  readonly sockets: Readonly<Record<string, number>>;
}

/** One of the repository's own Workers, from its own configuration, in Miniflare's terms. */
export function workerOf(setup: WorkerSetup, dispatch: (namespace: string) => DispatchOptions): Worker {
  const { config, bundle, sockets } = setup;
  return {
    config: {
      type: "worker",
      name: config.name,
      compatibilityDate: config.compatibility_date,
      compatibilityFlags: config.compatibility_flags,
      manifest: { mainModule: bundle.mainModule, modulesRoot: "/", modules: bundle.modules },
      env: envOf(setup, dispatch),
      exports: Object.fromEntries([
        ...config.migrations.flatMap((step) => step.new_sqlite_classes).map((name) => [name, durable("sqlite")]),
        ...config.migrations.flatMap((step) => step.new_classes).map((name) => [name, durable("legacy-kv")]),
      ]),
    },
    dev: {
      // Straight to the Worker: Miniflare's entry Worker would cost half of the throughput, and rewrite headers.
      unsafeDirectSockets: Object.entries(sockets).map(([entrypoint, port]) => ({
        host: "127.0.0.1",
        port,
        entrypoint,
      })),
    },
  };
}

function durable(storage: "sqlite" | "legacy-kv") {
  return { type: "durable-object" as const, storage };
}

function envOf({ config, vars }: WorkerSetup, dispatch: (namespace: string) => DispatchOptions): Env {
  const env: Env = {};
  for (const [name, value] of Object.entries({ ...config.vars, ...vars }))
    env[name] = typeof value === "string" ? { type: "text", value } : { type: "json", value };
  for (const { binding, service, entrypoint } of config.services)
    env[binding] = {
      type: "worker",
      workerName: service,
      ...(entrypoint === undefined ? {} : { exportName: entrypoint }),
    };
  for (const { name, class_name, script_name } of config.durable_objects.bindings)
    env[name] = { type: "durable-object", workerName: script_name ?? config.name, exportName: class_name };
  for (const { binding, id } of config.kv_namespaces) env[binding] = { type: "kv", id: id ?? binding };
  for (const { binding, namespace } of config.dispatch_namespaces) env[binding] = dispatchBinding(dispatch(namespace));
  return env;
}
