import { join } from "node:path";
import { workerSource } from "../dispatch-binding/source.ts";
import { Embed, VOID } from "../workerd/config.ts";
import type { Address, Binding, Config, Module, Service } from "../workerd/config.ts";
import { kvBinding, kvParts } from "../workerd/kv.ts";
import { CLOUDFLARE, internet } from "../workerd/surroundings.ts";
import { fail } from "./error.ts";
import type { OwnBinding } from "./metadata.ts";
import type { DurableClasses } from "./migrations.ts";
import { RESERVED_PREFIX } from "./upload.ts";
import type { ModuleType } from "./upload.ts";

/** Targets of service bindings: by service name and entrypoint (or "default"), an address `http://127.0.0.1:port` or `unix:/path`. */
export type Services = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** A script's module and the path of its file. */
export interface StoredModule {
  readonly name: string;
  readonly type: ModuleType;
  readonly path: string;
}

/** The folders of a script's storage. `do/<key of a class>/` contains the databases of that class's objects. */
export interface StorageFolders {
  readonly objects: string;
  readonly kv: string;
}

export interface ScriptSpec {
  readonly mainModule: string;
  readonly modules: readonly StoredModule[];
  readonly compatibilityDate: string;
  readonly compatibilityFlags: readonly string[];
  readonly bindings: readonly OwnBinding[];
  readonly classes: DurableClasses;
  readonly version: string;
  readonly services: Services;
  /** The key that the guard requires of each call. */
  readonly key: string;
  readonly port: number;
  /** Whether the script is restarted in moments without a call; see guard.ts. */
  readonly mayClose: boolean;
  /** No request of the script leaves this computer. */
  readonly offline?: boolean;
  /** Null for a trial run, which must not touch the script's storage. */
  readonly storage: StorageFolders | null;
}

const SCRIPT = "script";
const OBJECTS = "operator-local:objects";
const ENTRY = `${RESERVED_PREFIX}entry.js`;
const GUARD = `${RESERVED_PREFIX}guard.js`;

/** The configuration of the workerd that runs one user script. @throws PlatformFailure when a binding's target does not exist */
export function scriptConfig(spec: ScriptSpec): Config {
  const { classes, storage } = spec;
  const { bindings, services } = bindingsOf(spec);
  const kv = spec.bindings.some(({ type }) => type === "kv_namespace") ? kvParts(storage?.kv ?? null) : null;
  const names = Object.keys(classes);
  return {
    extensions: [CLOUDFLARE, ...(kv?.extensions ?? [])],
    sockets: [
      {
        name: SCRIPT,
        address: `127.0.0.1:${spec.port}`,
        // workerd reads `request.cf` from this header, and invents one when no header is configured. Nobody sends this
        // header, so `request.cf` stays undefined, as for user scripts on Cloudflare.
        http: { cfBlobHeader: `cf-${spec.key}` },
        service: { name: SCRIPT },
      },
    ],
    services: [
      {
        name: SCRIPT,
        worker: {
          modules: modulesOf(spec),
          compatibilityDate: spec.compatibilityDate,
          compatibilityFlags: spec.compatibilityFlags,
          bindings,
          ...(names.length === 0
            ? {}
            : {
                durableObjectNamespaces: names.map((className) => ({
                  className,
                  uniqueKey: classes[className]?.key ?? className,
                  enableSql: classes[className]?.sqlite ?? true,
                })),
                durableObjectStorage: storage === null ? { inMemory: VOID } : { localDisk: OBJECTS },
              }),
        },
      },
      internet(spec.offline === true ? "nothing" : "public"),
      ...(storage === null || names.length === 0
        ? []
        : [{ name: OBJECTS, disk: { path: storage.objects, writable: true } }]),
      ...services,
      ...(kv?.services ?? []),
    ],
  };
}

function modulesOf({ mainModule, modules, key, mayClose, classes }: ScriptSpec): Module[] {
  const main = JSON.stringify(`../${mainModule}`);
  const entry = [
    `import * as script from ${main};`,
    `import { guard } from "./guard.js";`,
    `export * from ${main};`,
    // workerd only warns when a class is not exported; Cloudflare refuses the upload, so this does too.
    `for (const name of ${JSON.stringify(Object.keys(classes))}) {`,
    `  if (typeof script[name] !== "function")`,
    `    throw new Error(\`Cannot apply new-class migration to class '\${name}' that is not exported by script\`);`,
    `}`,
    `export default guard(script.default, ${JSON.stringify(key)}, ${mayClose});`,
  ].join("\n");
  return [
    { name: ENTRY, esModule: entry },
    { name: GUARD, esModule: workerSource("guard.ts") },
    ...modules.flatMap((module) => moduleOf(module) ?? []),
  ];
}

/** `null` for a source map, which workerd does not take. */
function moduleOf({ name, type, path }: StoredModule): Module | null {
  const content = new Embed(path);
  switch (type) {
    case "esm":
      return { name, esModule: content };
    case "cjs":
      return { name, commonJsModule: content };
    case "text":
      return { name, text: content };
    case "data":
      return { name, data: content };
    case "json":
      return { name, json: content };
    case "wasm":
      return { name, wasm: content };
    case "sourcemap":
      return null;
  }
}

function bindingsOf({ bindings, classes, services, version }: ScriptSpec): {
  bindings: Binding[];
  services: Service[];
} {
  const own: Binding[] = [];
  const reached = new Map<string, Service>();
  for (const binding of bindings) {
    const { name } = binding;
    switch (binding.type) {
      case "plain_text":
      case "secret_text":
        own.push({ name, text: binding.text });
        break;
      case "json":
        own.push({ name, json: JSON.stringify(binding.json) });
        break;
      case "durable_object_namespace":
        if (!Object.hasOwn(classes, binding.class_name)) fail({ code: "class_unknown", className: binding.class_name });
        own.push({ name, durableObjectNamespace: { className: binding.class_name } });
        break;
      case "service": {
        const entrypoint = binding.entrypoint ?? "default";
        const address = services[binding.service]?.[entrypoint];
        if (address === undefined)
          fail({ code: "unsupported", what: `service "${binding.service}" with that entrypoint` });
        const service = `${RESERVED_PREFIX}service/${binding.service}/${entrypoint}`;
        reached.set(service, { name: service, external: { address: addressOf(address), http: {} } });
        own.push({ name, service: { name: service } });
        break;
      }
      case "kv_namespace":
        own.push(kvBinding(name, binding.namespace_id));
        break;
      case "version_metadata":
        own.push({ name, json: JSON.stringify({ id: version, tag: "", timestamp: "" }) });
        break;
    }
  }
  return { bindings: own, services: [...reached.values()] };
}

function addressOf(address: string): Address {
  return address.startsWith("unix:") ? address : new URL(address).host;
}

/** The folders of a script's storage. */
export function storageFolders(storage: string): StorageFolders {
  return { objects: join(storage, "do"), kv: join(storage, "kv") };
}
