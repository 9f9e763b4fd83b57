import * as z from "zod/mini";

/**
 * A hosted server: an MCP server that is a script of its own in the dispatch namespace, with no machine behind it. This is what
 * `operator servers` and the control API's REST interface say to each other about it.
 *
 *   PUT    /api/servers/:name                  form: `config` (ServerConfig as JSON), one file per module -> HostedServer
 *   GET    /api/servers                        -> { servers: HostedServer[] }
 *   GET    /api/servers/:name                  -> HostedServer
 *   POST   /api/servers/:name/rollback         RollbackRequest -> HostedServer
 *   GET    /api/servers/:name/secrets          -> { secrets: string[] }, names only
 *   PUT    /api/servers/:name/secrets/:secret  SecretRequest -> 204
 *   DELETE /api/servers/:name/secrets/:secret  -> 204
 *   DELETE /api/servers/:name                  -> 204; its script, storage, versions and secrets are gone
 */

/** Names that begin like this are Operator's own bindings in a hosted script. */
export const RESERVED_BINDING_PREFIX = "OPERATOR_";

/** All modules of one version. Cloudflare takes 10 MB compressed; each stored version costs this much of its owner's database. */
export const MAX_SERVER_BYTES = 8 * 1024 * 1024;

/** Modules of one version. wrangler bundles code into one; the others are files that it imports. */
export const MAX_SERVER_MODULES = 100;

/** A secret's text (Cloudflare, "Workers limits": environment variables of 5 KB each). */
const MAX_SECRET_CHARACTERS = 5 * 1024;

/** A binding's name is a JavaScript identifier, because the server's code reads it as a property of `env`. */
export const BindingName = z.string().check(
  z.regex(/^[A-Za-z_]\w{0,127}$/),
  z.refine((name) => !name.toUpperCase().startsWith(RESERVED_BINDING_PREFIX)),
);

const ClassName = z.string().check(z.regex(/^[A-Za-z_]\w{0,127}$/));
const Classes = z.optional(z.array(ClassName));

/** One migration of Durable Object classes, as wrangler.jsonc has it. */
export const Migration = z.strictObject({
  tag: z.string().check(z.minLength(1), z.maxLength(64)),
  new_sqlite_classes: Classes,
  new_classes: Classes,
  deleted_classes: Classes,
  renamed_classes: z.optional(z.array(z.strictObject({ from: ClassName, to: ClassName }))),
});
export type Migration = z.infer<typeof Migration>;

/**
 * What a hosted server's wrangler.jsonc says. There are vars and Durable Objects of its own and nothing else: any other binding
 * would reach into the account that Operator runs in.
 */
export const ServerConfig = z.strictObject({
  mainModule: z.string(),
  compatibilityDate: z.string().check(z.regex(/^\d{4}-\d\d-\d\d$/)),
  compatibilityFlags: z.array(z.string().check(z.maxLength(64))).check(z.maxLength(20)),
  vars: z.record(BindingName, z.json()),
  objects: z.array(z.strictObject({ name: BindingName, className: ClassName })).check(z.maxLength(20)),
  migrations: z.array(Migration).check(z.maxLength(100)),
});
export type ServerConfig = z.infer<typeof ServerConfig>;

/** A stored version. Times are in milliseconds since 1970. */
const ServerVersion = z.object({ version: z.int(), createdMs: z.int(), bytes: z.int() });
export type ServerVersion = z.infer<typeof ServerVersion>;

export const HostedServer = z.object({
  name: z.string(),
  slug: z.string(),
  /** The version that is uploaded. */
  version: z.int(),
  /** The versions that a rollback can return to, the newest first. */
  versions: z.array(ServerVersion),
  createdMs: z.int(),
  mcpUrl: z.string(),
  mcpHostUrl: z.string(),
});
export type HostedServer = z.infer<typeof HostedServer>;

/** Without a version: the one before the current one. */
export const RollbackRequest = z.object({ version: z.optional(z.int()) });
export const SecretRequest = z.object({ value: z.string().check(z.minLength(1), z.maxLength(MAX_SECRET_CHARACTERS)) });

/** The template version that a hosted script reports as its state: it tells an upload that has taken effect from the one before. */
export function hostedTemplate(version: number): string {
  return `hosted-${version}`;
}
