import type { Migration, ServerConfig } from "#protocol/hosted-server.ts";

/** The tag by which hosted servers are found in the namespace, as KIND_TAG finds machine scripts. */
const HOSTED_TAG = "operator-hosted";

const ENTRY = "entry.js";
/** The wrapper's module. */
export const HOST = "host.js";

/** The server's own modules lie in a folder of their own, so that none of them can have the name of one of Operator's. */
const FOLDER = "server/";

/** One of a server's modules. `type` is its content type, by which the API tells code from other files. */
export type ServerModule = { readonly name: string; readonly type: string; readonly content: ArrayBuffer };

/** A version of a hosted server: what it was deployed with. */
export type ServerBundle = { readonly config: ServerConfig; readonly modules: readonly ServerModule[] };

/** Operator's wrapper around servers: its version, and its code. */
export type Wrapper = { readonly version: string; readonly code: string };

export type HostedScript = {
  readonly owner: string;
  readonly name: string;
  readonly slug: string;
  /** The version that the script reports, so that callers can tell when an upload has taken effect. */
  readonly template: string;
  readonly bundle: ServerBundle;
};

/**
 * The upload's form. The main module wraps the server's (machine-template/src/hosted/host.ts) and re-exports its classes, which
 * Durable Objects need. Secrets are kept from upload to upload: they are set by a call of their own and stored by Cloudflare alone.
 *
 * @param migrationTag the tag of the last migration that was applied to the script; `null` if there is no script
 */
export function hostedForm(
  { owner, name, slug, template, bundle }: HostedScript,
  wrapper: Wrapper,
  migrationTag: string | null,
): FormData {
  const { config, modules } = bundle;
  const main = JSON.stringify(`./${FOLDER}${config.mainModule}`);
  const entry = [
    `import * as server from ${main};`,
    `import { host } from "./${HOST}";`,
    `export * from ${main};`,
    // `default` of the namespace object, because a server without a default export must be told so by a call, not by a syntax error.
    `export default host(server.default);`,
  ].join("\n");
  const migrations = pendingMigrations(config.migrations, migrationTag);
  const metadata = {
    main_module: ENTRY,
    compatibility_date: config.compatibilityDate,
    compatibility_flags: withFlag(config.compatibilityFlags, "enable_request_signal"),
    tags: [HOSTED_TAG],
    observability: { enabled: true },
    keep_bindings: ["secret_text"],
    ...(migrations === null ? {} : { migrations }),
    bindings: [
      { type: "plain_text", name: "OPERATOR_OWNER", text: owner },
      { type: "plain_text", name: "OPERATOR_NAME", text: name },
      { type: "plain_text", name: "OPERATOR_SLUG", text: slug },
      { type: "plain_text", name: "OPERATOR_TEMPLATE", text: template },
      { type: "plain_text", name: "OPERATOR_WRAPPER", text: wrapper.version },
      ...Object.entries(config.vars).map(([key, value]) =>
        typeof value === "string"
          ? { type: "plain_text", name: key, text: value }
          : { type: "json", name: key, json: value },
      ),
      ...config.objects.map(({ name: key, className }) => ({
        type: "durable_object_namespace",
        name: key,
        class_name: className,
      })),
    ],
  };
  const form = new FormData();
  form.set("metadata", JSON.stringify(metadata));
  for (const [part, code] of [
    [ENTRY, entry],
    [HOST, wrapper.code],
  ] as const)
    form.set(part, new File([code], part, { type: "application/javascript+module" }));
  for (const { name: part, type, content } of modules)
    form.set(FOLDER + part, new File([content], FOLDER + part, { type }));
  return form;
}

/**
 * The migrations that the script does not have yet, as wrangler sends them: those after the script's current tag. `null` when there
 * are none; then the field must be left out. A tag that is not in the list belongs to a newer version, to which a rollback does not
 * apply anything.
 */
function pendingMigrations(all: readonly Migration[], current: string | null): object | null {
  const at = all.findIndex(({ tag }) => tag === current);
  if (current !== null && at === -1) return null;
  const pending = all.slice(at + 1);
  const last = pending.at(-1);
  if (last === undefined) return null;
  const steps = pending.map(({ tag: _tag, ...step }) => step);
  return { ...(current === null ? {} : { old_tag: current }), new_tag: last.tag, steps };
}

function withFlag(flags: readonly string[], flag: string): string[] {
  return flags.includes(flag) || flags.includes(`${flag.replace("enable", "disable")}`) ? [...flags] : [...flags, flag];
}
