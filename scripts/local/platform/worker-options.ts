import type { MiniflareOptions } from "miniflare";
import { workerSource } from "../dispatch-binding/source.ts";
import { fail } from "./error.ts";
import type { OwnBinding } from "./metadata.ts";
import type { DurableClasses } from "./migrations.ts";
import { RESERVED_PREFIX } from "./upload.ts";
import type { ScriptModule } from "./upload.ts";

/** Where service bindings lead: service name, then entrypoint (or "default"), then `http://127.0.0.1:port`. */
export type Services = Readonly<Record<string, Readonly<Record<string, string>>>>;

export interface WorkerSpec {
  readonly name: string;
  readonly mainModule: string;
  readonly modules: readonly ScriptModule[];
  readonly compatibilityDate: string;
  readonly compatibilityFlags: readonly string[];
  readonly bindings: readonly OwnBinding[];
  readonly classes: DurableClasses;
  readonly version: string;
  readonly services: Services;
  /** What a call must carry to get past the guard. */
  readonly key: string;
  readonly port: number;
  /** Null for a trial run, which must not touch the script's storage. */
  readonly storage: string | null;
}

type Worker = MiniflareOptions["workers"][number];
type Env = NonNullable<Worker["config"]["env"]>;
type Modules = NonNullable<Worker["config"]["manifest"]>["modules"];

const ENTRY = `${RESERVED_PREFIX}entry.js`;
const GUARD = `${RESERVED_PREFIX}guard.js`;

/** The Miniflare instance that runs one user script. @throws PlatformFailure when a binding leads nowhere */
export function workerOptions(spec: WorkerSpec): MiniflareOptions {
  const { name, classes } = spec;
  return {
    ...(spec.storage === null ? {} : { resourcePersistencePath: spec.storage }),
    workers: [
      {
        config: {
          type: "worker",
          name,
          compatibilityDate: spec.compatibilityDate,
          compatibilityFlags: [...spec.compatibilityFlags],
          manifest: { mainModule: ENTRY, modulesRoot: "/", modules: modulesOf(spec) },
          env: envOf(spec),
          exports: Object.fromEntries(
            Object.entries(classes).map(([className, { key, sqlite }]) => [
              className,
              { type: "durable-object", storage: sqlite ? "sqlite" : "legacy-kv", unsafeUniqueKey: key },
            ]),
          ),
        },
        dev: {
          // A user script in untrusted mode has no caches.default.
          cacheAPI: false,
          unsafeDirectSockets: [{ host: "127.0.0.1", port: spec.port }],
          ...(spec.storage === null ? { unsafeEphemeralDurableObjects: true } : {}),
        },
      },
    ],
  };
}

function modulesOf({ mainModule, modules, key, classes }: WorkerSpec): Modules {
  const main = JSON.stringify(`../${mainModule}`);
  const entry = [
    `import * as script from ${main};`,
    `import { guard } from "./guard.js";`,
    `export * from ${main};`,
    // workerd only warns of a class that is not there; Cloudflare refuses the upload.
    `for (const name of ${JSON.stringify(Object.keys(classes))}) {`,
    `  if (typeof script[name] !== "function")`,
    `    throw new Error(\`Cannot apply new-class migration to class '\${name}' that is not exported by script\`);`,
    `}`,
    `export default guard(script.default, ${JSON.stringify(key)});`,
  ].join("\n");
  const result: Modules = {
    [ENTRY]: { type: "esm", contents: entry },
    [GUARD]: { type: "esm", contents: workerSource("guard.ts") },
  };
  for (const { name, type, contents } of modules) result[name] = { type, contents };
  return result;
}

function envOf({ name, bindings, classes, services, version }: WorkerSpec): Env {
  const env: Env = {};
  for (const binding of bindings) {
    switch (binding.type) {
      case "plain_text":
      case "secret_text":
        env[binding.name] = { type: "text", value: binding.text };
        break;
      case "json":
        env[binding.name] = { type: "json", value: binding.json };
        break;
      case "durable_object_namespace":
        if (!Object.hasOwn(classes, binding.class_name)) fail({ code: "class_unknown", className: binding.class_name });
        env[binding.name] = { type: "durable-object", workerName: name, exportName: binding.class_name };
        break;
      case "service": {
        const address = services[binding.service]?.[binding.entrypoint ?? "default"];
        if (address === undefined)
          fail({ code: "unsupported", what: `service "${binding.service}" with that entrypoint` });
        env[binding.name] = { type: "external", address: new URL(address).host, http: {} };
        break;
      }
      case "kv_namespace":
        env[binding.name] = { type: "kv", id: binding.namespace_id };
        break;
      case "version_metadata":
        env[binding.name] = { type: "json", value: { id: version, tag: "", timestamp: "" } };
        break;
    }
  }
  return env;
}
