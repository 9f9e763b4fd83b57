import { createRequire } from "node:module";
import { join } from "node:path";
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
const workers = () => join(createRequire(import.meta.url).resolve("miniflare"), "../workers");

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
      // Values are stored as files beside the databases.
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
