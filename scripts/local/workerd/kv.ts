import { createRequire } from "node:module";
import { join } from "node:path";
import { Embed, VOID } from "./config.ts";
import type { Binding, Extension, Service } from "./config.ts";

const ENTRY = "operator-local:kv";
const OBJECTS = "operator-local:kv-objects";
const STORAGE = "operator-local:kv-storage";
/** Part of the names of the files on disk: it must stay as it is. */
const CLASS = "KVNamespaceObject";

/** Its folder of databases, which is there once something was written. */
export const KV_CLASS_FOLDER = `miniflare-${CLASS}`;

/** The Workers that simulate KV are Miniflare's: code that is read from its package, and nothing of it that listens. */
const workers = () => join(createRequire(import.meta.url).resolve("miniflare"), "../workers");

export function kvBinding(name: string, id: string): Binding {
  return { name, kvNamespace: { name: ENTRY, props: { json: JSON.stringify({ MINIFLARE_NAMESPACE: id }) } } };
}

/** What a configuration with KV bindings needs. `folder` must exist; `null`: kept in memory. */
export function kvParts(folder: string | null): { services: Service[]; extensions: Extension[] } {
  const module = (name: string, file: string) => ({ name, esModule: new Embed(join(workers(), file)) });
  const entry: Service = {
    name: ENTRY,
    worker: {
      compatibilityDate: "2023-07-24",
      modules: [module("object-entry.worker.js", "shared/object-entry.worker.js")],
      bindings: [{ name: "MINIFLARE_OBJECT", durableObjectNamespace: { className: CLASS, serviceName: OBJECTS } }],
    },
  };
  const objects: Service = {
    name: OBJECTS,
    worker: {
      compatibilityDate: "2023-07-24",
      compatibilityFlags: ["nodejs_compat", "experimental"], // for sql.prepare
      modules: [module("namespace.worker.js", "kv/namespace.worker.js")],
      durableObjectNamespaces: [{ className: CLASS, uniqueKey: KV_CLASS_FOLDER, enableSql: true }],
      durableObjectStorage: folder === null ? { inMemory: VOID } : { localDisk: STORAGE },
      // Values lie in files beside the databases.
      bindings: folder === null ? [] : [{ name: "MINIFLARE_BLOBS", service: { name: STORAGE } }],
    },
  };
  const storage: Service[] = folder === null ? [] : [{ name: STORAGE, disk: { path: folder, writable: true } }];
  const shared = [
    module("miniflare:shared", "shared/index.worker.js"),
    module("miniflare:zod", "shared/zod.worker.js"),
  ];
  return { services: [entry, objects, ...storage], extensions: [{ modules: shared }] };
}
