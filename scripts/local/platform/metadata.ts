import * as z from "zod";

const name = z.string().regex(/^[A-Za-z_$][\w$]{0,127}$/, "a binding's name must be a JavaScript identifier");

/** The bindings that a user script can have on this platform. The shapes are Cloudflare's. */
export const Binding = z.discriminatedUnion("type", [
  z.object({ type: z.literal("plain_text"), name, text: z.string() }),
  z.object({ type: z.literal("secret_text"), name, text: z.string() }),
  z.object({ type: z.literal("json"), name, json: z.json() }),
  z.object({ type: z.literal("durable_object_namespace"), name, class_name: z.string() }),
  z.object({ type: z.literal("service"), name, service: z.string(), entrypoint: z.string().optional() }),
  z.object({ type: z.literal("kv_namespace"), name, namespace_id: z.string() }),
  z.object({ type: z.literal("version_metadata"), name }),
  /** Keeps the binding of this name from the previous version. */
  z.object({ type: z.literal("inherit"), name }),
]);
export type Binding = z.infer<typeof Binding>;
/** A binding of a stored script, where "inherit" has been resolved. */
export type OwnBinding = Exclude<Binding, { type: "inherit" }>;

const classes = z.array(z.string()).optional();
const rename = z.array(z.object({ from: z.string(), to: z.string() })).optional();
const step = z.object({
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

/** Fields that are accepted and have no effect here. Their shapes are not checked. */
const ACCEPTED = [
  "annotations", "body_part", "cache_options", "keep_assets", "limits", "logpush", "observability",
  "package_dependencies", "placement", "streaming_tail_consumers", "tail_consumers", "usage_model",
] as const; // prettier-ignore

/**
 * The `metadata` field of an upload's form (Cloudflare, "Multipart upload metadata"). Unknown fields are refused, because a
 * misspelt field would otherwise go unnoticed until it is deployed to Cloudflare.
 */
export const Metadata = z.strictObject({
  main_module: z.string(),
  compatibility_date: z.iso.date().default("2025-01-01"),
  compatibility_flags: z.array(z.string()).default([]),
  bindings: z.array(Binding).default([]),
  keep_bindings: z.array(z.string()).default([]),
  tags: Tags.optional(),
  migrations: Migrations.optional(),
  ...Object.fromEntries(ACCEPTED.map((field) => [field, z.unknown().optional()])),
});
export type Metadata = z.infer<typeof Metadata>;
