/** The module's name; the API finds the entry by the *part* that has this name. */
const MAIN_MODULE = "index.js";

/** Machine scripts are found by it: what to upgrade, and what a user leaves behind. A script takes at most 8 tags. */
export const KIND_TAG = "operator-machine";

/** The one migration there is: it creates the class (machine-template/wrangler.jsonc). */
export const MIGRATION_TAG = "v1";

const COMPATIBILITY_DATE = "2026-08-01";

/** One machine script as it has to be. */
export type MachineScript = {
  readonly slug: string;
  readonly name: string;
  readonly owner: string;
  /** What tells its computer from another one of the same name. Kept so that the registry can be rebuilt from the scripts. */
  readonly identity: string;
  /** SHA-256 of the link token, hex; `null`: the one that the script has, which a rebuilt registry does not know. */
  readonly linkTokenHash: string | null;
};

export type UploadOptions = {
  readonly script: MachineScript;
  /** The template's code, and its version. */
  readonly module: string;
  readonly template: string;
  /** The script's key for its reports (report-key.ts). */
  readonly reportKey: string;
  /** Whether the script has been through the migration: sent again, it is refused with code 10079. */
  readonly isMigrated: boolean;
};

/**
 * The form of an upload: one part `metadata` that holds JSON, and one part per module whose part name is what `main_module` says
 * (Cloudflare, "Multipart upload metadata"). It is what wrangler sends; a test compares the two. The SDK's own
 * `scripts.update()` sends the metadata as bracketed fields, which the API does not read (cloudflare-typescript 2799).
 */
export function uploadForm({ script, module, template, reportKey, isMigrated }: UploadOptions): FormData {
  const metadata = {
    main_module: MAIN_MODULE,
    compatibility_date: COMPATIBILITY_DATE,
    compatibility_flags: ["nodejs_compat", "enable_request_signal"],
    tags: [KIND_TAG, `template-${template}`],
    // A user script's logs are nowhere without it.
    observability: { enabled: true },
    ...(isMigrated ? {} : { migrations: { new_tag: MIGRATION_TAG, new_sqlite_classes: ["Machine"] } }),
    bindings: [
      { type: "durable_object_namespace", name: "MACHINE", class_name: "Machine" },
      { type: "plain_text", name: "OWNER", text: script.owner },
      { type: "plain_text", name: "NAME", text: script.name },
      { type: "plain_text", name: "SLUG", text: script.slug },
      { type: "plain_text", name: "TEMPLATE", text: template },
      { type: "plain_text", name: "IDENTITY", text: script.identity },
      script.linkTokenHash === null
        ? { type: "inherit", name: "LINK_TOKEN_HASH" }
        : { type: "secret_text", name: "LINK_TOKEN_HASH", text: script.linkTokenHash },
      { type: "secret_text", name: "REPORT_KEY", text: reportKey },
      { type: "service", name: "CONTROL", service: "operator", entrypoint: "Reports" },
    ],
  };
  const form = new FormData();
  form.set("metadata", JSON.stringify(metadata));
  form.set(MAIN_MODULE, new File([module], MAIN_MODULE, { type: "application/javascript+module" }));
  return form;
}
