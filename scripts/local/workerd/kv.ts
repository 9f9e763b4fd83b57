import { createRequire } from "node:module";
import { join } from "node:path";
import { IS_PACKED, PROGRAM } from "../program.ts";
import { Embed, VOID } from "./config.ts";
import type { Binding, Extension, Service } from "./config.ts";

const ENTRY = "operator-local:kv";
const OBJECTS = "operator-local:kv-objects";
const STORAGE = "operator-local:kv-storage";
/** Part of file names on disk: changing it would lose stored data. */
const CLASS = "KVNamespaceObject";

/** The folder with the KV databases. It exists once something was written. */
export const KV_CLASS_FOLDER = `miniflare-${CLASS}`;

/** KV is simulated by Miniflare's Workers. Only their code is read from its package; Miniflare's own server is not started. */
const workers = (): string =>
  IS_PACKED ? join(PROGRAM, PACKED_KV) : join(createRequire(import.meta.url).resolve("miniflare"), "../workers");

/** Where the packed program has them. */
const PACKED_KV = "build/kv";

const FILES = {
  entry: "shared/object-entry.worker.js",
  namespace: "kv/namespace.worker.js",
  shared: "shared/index.worker.js",
  zod: "shared/zod.worker.js",
} as const;

/** The files of KV's simulation: each with its path, and its place in the packed program. */
export function kvFiles(): { path: string; packed: string }[] {
  return Object.values(FILES).map((file) => ({ path: join(workers(), file), packed: `${PACKED_KV}/${file}` }));
}

export function kvBinding(name: string, id: string): Binding {
  return { name, kvNamespace: { name: ENTRY, props: { json: JSON.stringify({ MINIFLARE_NAMESPACE: id }) } } };
}

/** The services and extensions that a configuration with KV bindings needs. `folder` must exist; `null` keeps values in memory. */
export function kvParts(folder: string | null): { services: Service[]; extensions: Extension[] } {
  const module = (name: string, file: string) => ({ name, esModule: new Embed(join(workers(), file)) });
  const entry: Service = {
    name: ENTRY,
    worker: {
      compatibilityDate: "2023-07-24",
      modules: [module("object-entry.worker.js", FILES.entry)],
      bindings: [{ name: "MINIFLARE_OBJECT", durableObjectNamespace: { className: CLASS, serviceName: OBJECTS } }],
    },
  };
  const objects: Service = {
    name: OBJECTS,
    worker: {
      compatibilityDate: "2023-07-24",
      compatibilityFlags: ["nodejs_compat", "experimental"], // for sql.prepare
      modules: [module("namespace.worker.js", FILES.namespace)],
      durableObjectNamespaces: [{ className: CLASS, uniqueKey: KV_CLASS_FOLDER, enableSql: true }],
      durableObjectStorage: folder === null ? { inMemory: VOID } : { localDisk: STORAGE },
      // Values are stored as files beside the databases.
      bindings: folder === null ? [] : [{ name: "MINIFLARE_BLOBS", service: { name: STORAGE } }],
    },
  };
  const storage: Service[] = folder === null ? [] : [{ name: STORAGE, disk: { path: folder, writable: true } }];
  const shared = [module("miniflare:shared", FILES.shared), module("miniflare:zod", FILES.zod)];
  return { services: [entry, objects, ...storage], extensions: [{ modules: shared }] };
}
