/** The entry module's name. The API finds the module by the form part of that name, not by its file name. */
export const MAIN_MODULE = "index.js";

/** The tag by which machine scripts are found in the namespace. Cloudflare allows 8 tags per script. */
export const KIND_TAG = "operator-machine";

/** The tag of the only migration, which creates the Durable Object class (machine-template/wrangler.jsonc). */
export const MIGRATION_TAG = "v1";

const COMPATIBILITY_DATE = "2026-08-01";

/** The desired configuration of one machine script. */
export type MachineScript = {
  readonly slug: string;
  readonly name: string;
  readonly owner: string;
  /** Distinguishes the computer from another of the same name. Stored in the script so that a lost registry can be rebuilt. */
  readonly identity: string;
  /** SHA-256 of the link token in hex. `null` keeps the one that the script has, which a rebuilt registry does not know. */
  readonly linkTokenHash: string | null;
  /** When that token was issued, in milliseconds since 1970; 0 if unknown. */
  readonly linkIssuedMs: number;
  /** The public key that was registered with it, or `null`. */
  readonly linkKey: string | null;
};

export type UploadOptions = {
  readonly script: MachineScript;
  /** The template's code, and its version. */
  readonly module: string;
  readonly template: string;
  /** The script's key for its reports (report-key.ts). */
  readonly reportKey: string;
  /** The key of the macs in the owner's link tokens (link-secret.ts). */
  readonly linkSecret: string;
  /** Whether the migration was already applied. If so it is left out, since the API refuses it with code 10079. */
  readonly isMigrated: boolean;
  /** The Worker whose entrypoint `Reports` the script reports to. */
  readonly reportsTo: string;
};

/**
 * The multipart form of an upload: a part `metadata` with JSON, and a part per module; `main_module` names the entry's part
 * (Cloudflare, "Multipart upload metadata"). Wrangler sends the same form, and a test compares the two. The SDK's own
 * `scripts.update()` cannot be used: it sends the metadata as bracketed fields, which the API ignores (cloudflare-typescript 2799).
 */
export function uploadForm({
  script,
  module,
  template,
  reportKey,
  linkSecret,
  isMigrated,
  reportsTo,
}: UploadOptions): FormData {
  const metadata = {
    main_module: MAIN_MODULE,
    compatibility_date: COMPATIBILITY_DATE,
    compatibility_flags: ["enable_request_signal"],
    tags: [KIND_TAG, `template-${template}`],
    // Without this, Cloudflare stores no logs of a user script.
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
      { type: "plain_text", name: "LINK_ISSUED_MS", text: String(script.linkIssuedMs) },
      { type: "plain_text", name: "LINK_KEY", text: script.linkKey ?? "" },
      { type: "secret_text", name: "LINK_SECRET", text: linkSecret },
      { type: "secret_text", name: "REPORT_KEY", text: reportKey },
      { type: "service", name: "CONTROL", service: reportsTo, entrypoint: "Reports" },
    ],
  };
  const form = new FormData();
  form.set("metadata", JSON.stringify(metadata));
  form.set(MAIN_MODULE, new File([module], MAIN_MODULE, { type: "application/javascript+module" }));
  return form;
}
