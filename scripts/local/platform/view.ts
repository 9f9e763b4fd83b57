import type { NamespaceRecord } from "./namespace.ts";
import type { OwnBinding } from "./metadata.ts";
import type { Namespace } from "./namespace.ts";
import type { ScriptRecord } from "./record.ts";

/** How the API shows stored namespaces and scripts. The text of a secret is never shown. */
export function namespaceView({ record, scripts }: { record: NamespaceRecord; scripts: number }) {
  return {
    namespace_id: record.id,
    namespace_name: record.name,
    created_on: record.createdOn,
    modified_on: record.createdOn,
    script_count: scripts,
    trusted_workers: false,
  };
}

export function scriptView(name: string, record: ScriptRecord) {
  return {
    id: name,
    tags: record.tags,
    etag: record.version,
    created_on: record.createdOn,
    modified_on: record.modifiedOn,
    compatibility_date: record.compatibilityDate,
    compatibility_flags: record.compatibilityFlags,
    has_modules: true,
    handlers: ["fetch"],
    ...(record.migrationTag === undefined ? {} : { migration_tag: record.migrationTag }),
  };
}

export function scriptDetailView(namespace: Namespace, name: string, record: ScriptRecord) {
  return {
    dispatch_namespace: namespace.record.name,
    created_on: record.createdOn,
    modified_on: record.modifiedOn,
    script: scriptView(name, record),
  };
}

export function bindingView(binding: OwnBinding) {
  if (binding.type !== "secret_text") return binding;
  const { name, type } = binding;
  return { name, type };
}

export function settingsView(record: ScriptRecord) {
  return {
    bindings: record.bindings.map(bindingView),
    compatibility_date: record.compatibilityDate,
    compatibility_flags: record.compatibilityFlags,
    tags: record.tags,
    usage_model: "standard",
    logpush: false,
    tail_consumers: [],
    ...(record.migrationTag === undefined ? {} : { migration_tag: record.migrationTag }),
  };
}
