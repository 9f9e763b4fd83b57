import * as z from "zod";

export const BindingName = z
  .string()
  .regex(/^[A-Za-z_$][\w$]{0,127}$/, "a binding's name must be a JavaScript identifier");

const name = BindingName;

/**
 * The bindings that a user script can have on this platform. The shapes are Cloudflare's; a test compares their fields with those
 * in Cloudflare's own schema. Unknown fields are refused for the same reason as in `Metadata`.
 */
export const Binding = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("plain_text"), name, text: z.string() }),
  z.strictObject({ type: z.literal("secret_text"), name, text: z.string() }),
  z.strictObject({ type: z.literal("json"), name, json: z.json() }),
  z.strictObject({ type: z.literal("durable_object_namespace"), name, class_name: z.string() }),
  z.strictObject({ type: z.literal("service"), name, service: z.string(), entrypoint: z.string().optional() }),
  z.strictObject({ type: z.literal("kv_namespace"), name, namespace_id: z.string() }),
  z.strictObject({ type: z.literal("version_metadata"), name }),
  /** Keeps the binding of this name from the previous version. */
  z.strictObject({ type: z.literal("inherit"), name }),
]);
export type Binding = z.infer<typeof Binding>;
/** A binding of a stored script, where "inherit" has been resolved. */
export type OwnBinding = Exclude<Binding, { type: "inherit" }>;

const classes = z.array(z.string()).optional();
const rename = z.array(z.strictObject({ from: z.string(), to: z.string() })).optional();
const step = z.strictObject({
  new_classes: classes,
  new_sqlite_classes: classes,
  deleted_classes: classes,
  renamed_classes: rename,
});

/** Either one step with its tag, or several at once. */
export const Migrations = step.extend({
  old_tag: z.string().optional(),
  new_tag: z.string().optional(),
  steps: z.array(step).optional(),
});
export type Migrations = z.infer<typeof Migrations>;
export type MigrationStep = z.infer<typeof step>;

/** Cloudflare's limits on tags. */
const MOST_TAGS = 8;
export const Tags = z
  .array(
    z
      .string()
      .min(1)
      .max(1024)
      .regex(/^[^,&]*$/, 'a tag must not contain "," or "&"'),
  )
  .max(MOST_TAGS, `a script may have at most ${MOST_TAGS} tags`);

const share = z.number().min(0).max(1).nullish();
const sink = {
  destinations: z.array(z.string()).optional(),
  head_sampling_rate: share,
  persist: z.boolean().optional(),
};

/** What Cloudflare stores of a script's logs. Without it nothing is stored of a user script. */
const Observability = z.strictObject({
  enabled: z.boolean(),
  head_sampling_rate: share,
  issues: z.strictObject({ enabled: z.boolean().optional() }).nullish(),
  logs: z.strictObject({ enabled: z.boolean(), invocation_logs: z.boolean(), ...sink }).nullish(),
  redact_query_string: z.boolean().optional(),
  traces: z
    .strictObject({
      enabled: z.boolean().optional(),
      propagation_policy: z.enum(["authenticated", "accept"]).nullish(),
      ...sink,
    })
    .nullish(),
});

/** Cloudflare's limit on variables and secrets of a script (Workers, "Limits": 128 on the paid plan). */
export const MOST_BINDINGS = 128;
/** Cloudflare's limit on the text of one of them: 5 KB, same page. Checked at the upload, not of what is stored already. */
const MAX_TEXT_BYTES = 5 * 1024;

export const isTooLong = (binding: Binding): boolean =>
  "text" in binding && Buffer.byteLength(binding.text) > MAX_TEXT_BYTES;

/** What is said of too many or too large ones. */
export const TOO_MANY_BINDINGS = `a script may have at most ${MOST_BINDINGS} bindings`;
export const TEXT_TOO_LONG = `the text of a binding may have ${MAX_TEXT_BYTES} bytes`;

/** Fields that are accepted and have no effect here. Their shapes are not checked, because Operator sends none of them. */
const ignored = z.unknown().optional();
const ACCEPTED = {
  body_part: ignored,
  cache_options: ignored,
  keep_assets: ignored,
  limits: ignored,
  logpush: ignored,
  package_dependencies: ignored,
  placement: ignored,
  tail_consumers: ignored,
  usage_model: ignored,
};

/** Binding types that `keep_bindings` may name. */
const KEPT = z.enum([
  "plain_text",
  "secret_text",
  "json",
  "durable_object_namespace",
  "service",
  "kv_namespace",
  "version_metadata",
]);

/**
 * Compatibility flags of a script. workerd knows which flags are experimental, and refuses them unless it is started with `--experimental`, as
 * this platform starts it for the flag of that name. Cloudflare gives none of them to its customers: they were not reviewed for code of
 * others. For Python, workerd itself downloads an interpreter when it starts, whatever the script may reach.
 */
const Flags = z
  .array(z.string())
  .refine(
    (flags) => !flags.includes("experimental"),
    "The compatibility flag experimental is experimental and cannot yet be used in Workers deployed to Cloudflare.",
  )
  .refine((flags) => !flags.some((flag) => flag.startsWith("python_")), "the local platform has no Python Workers");

/**
 * The `metadata` field of an upload's form (Cloudflare, "Multipart upload metadata"). Unknown fields are refused, because a
 * misspelt field would otherwise go unnoticed until it is deployed to Cloudflare.
 */
export const Metadata = z.strictObject({
  main_module: z.string(),
  compatibility_date: z.iso.date().default("2025-01-01"),
  compatibility_flags: Flags.default([]),
  bindings: z
    .array(Binding)
    .max(MOST_BINDINGS, TOO_MANY_BINDINGS)
    .refine((all) => !all.some(isTooLong), TEXT_TOO_LONG)
    .refine((all) => new Set(all.map((one) => one.name)).size === all.length, "two bindings have the same name")
    .default([]),
  keep_bindings: z.array(KEPT).default([]),
  tags: Tags.optional(),
  migrations: Migrations.optional(),
  observability: Observability.optional(),
  ...ACCEPTED,
});
export type Metadata = z.infer<typeof Metadata>;
