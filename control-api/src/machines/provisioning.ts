import { NotFoundError, toFile } from "cloudflare";
import { BaseNamespaces } from "cloudflare/resources/workers-for-platforms/dispatch/namespaces/namespaces";
import { BaseScripts } from "cloudflare/resources/workers-for-platforms/dispatch/namespaces/scripts/scripts";
import { createClient } from "cloudflare/tree-shakable";
import { utf8 } from "#protocol/bytes.ts";
import template from "../../build/machine.js.txt";
import templateVersion from "../../build/machine.version.txt";
import type { Env } from "../env.ts";
import { reportKeyOf } from "./report-key.ts";

/** Version of the machine template that this Operator uploads. */
export const TEMPLATE = templateVersion.trim();

/** One machine script as it is to be. */
export type MachineScript = {
  readonly slug: string;
  readonly name: string;
  readonly owner: string;
  /** SHA-256 of the link token, hex. */
  readonly linkTokenHash: string;
};

/** At most 8 tags a script; these find what to upgrade, and what a user leaves behind. */
const KIND_TAG = "operator-machine";

/** The one migration there is: it makes the class (machine-template/wrangler.jsonc). */
const MIGRATION_TAG = "v1";

const COMPATIBILITY_DATE = "2026-08-01";

/** An upload of 1.2 MB on a slow line, and no longer. Milliseconds. */
const TIMEOUT_MS = 60_000;

function clientOf(env: Env) {
  return createClient({
    resources: [BaseScripts, BaseNamespaces],
    apiToken: env.CLOUDFLARE_API_TOKEN,
    baseURL: env.CLOUDFLARE_API_URL,
    timeout: TIMEOUT_MS,
    maxRetries: 2,
  });
}

function placeOf(env: Env): { account_id: string; dispatch_namespace: string } {
  return { account_id: env.CLOUDFLARE_ACCOUNT_ID, dispatch_namespace: env.DISPATCH_NAMESPACE };
}

/** Uploads a machine's script, or replaces it. Its Durable Object keeps its storage; a link that is up is dropped and dials again. */
export async function uploadScript(env: Env, script: MachineScript): Promise<void> {
  const isMigrated = (await migrationTagOf(env, script.slug)) === MIGRATION_TAG;
  const metadata = {
    main_module: "index.js",
    compatibility_date: COMPATIBILITY_DATE,
    compatibility_flags: ["nodejs_compat", "enable_request_signal"],
    tags: [KIND_TAG, `template-${TEMPLATE}`],
    // Sent again, an upload is refused: "Migration tag precondition failed", code 10079.
    ...(isMigrated ? {} : { migrations: { new_tag: MIGRATION_TAG, new_sqlite_classes: ["Machine"] } }),
    bindings: [
      { type: "durable_object_namespace" as const, name: "MACHINE", class_name: "Machine" },
      { type: "plain_text" as const, name: "OWNER", text: script.owner },
      { type: "plain_text" as const, name: "NAME", text: script.name },
      { type: "plain_text" as const, name: "SLUG", text: script.slug },
      { type: "plain_text" as const, name: "TEMPLATE", text: TEMPLATE },
      { type: "secret_text" as const, name: "LINK_TOKEN_HASH", text: script.linkTokenHash },
      {
        type: "secret_text" as const,
        name: "REPORT_KEY",
        text: await reportKeyOf(script.owner, script.slug, env.REPORT_SECRET),
      },
      { type: "service" as const, name: "CONTROL", service: "operator", entrypoint: "Reports" },
    ],
  };
  const module = await toFile(utf8(template), "index.js", {
    type: "application/javascript+module",
  });
  const { scripts } = clientOf(env).workersForPlatforms.dispatch.namespaces;
  // The SDK names a script's type for the whole form unless it is told not to; the form has to name its own.
  await scripts.update(
    script.slug,
    { ...placeOf(env), metadata, files: [module] },
    { headers: { "Content-Type": null } },
  );
}

/** The migrations a script has been through; `null` for one that is not there. The same one again would be refused. */
async function migrationTagOf(env: Env, slug: string): Promise<string | null> {
  try {
    const found = await clientOf(env).workersForPlatforms.dispatch.namespaces.scripts.get(slug, placeOf(env));
    return found.script?.migration_tag ?? null;
  } catch (reason) {
    if (reason instanceof NotFoundError) return null;
    throw reason;
  }
}

/** Deletes a machine's script with its storage. One that is gone already is no error. */
export async function deleteScript(env: Env, slug: string): Promise<void> {
  try {
    await clientOf(env).workersForPlatforms.dispatch.namespaces.scripts.delete(slug, { ...placeOf(env), force: true });
  } catch (reason) {
    if (!(reason instanceof NotFoundError)) throw reason;
  }
}
