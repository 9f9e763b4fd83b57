import { createHash } from "node:crypto";
import { APIError, NotFoundError } from "cloudflare";
import { BaseNamespaces } from "cloudflare/resources/workers-for-platforms/dispatch/namespaces/namespaces";
import { BaseScripts } from "cloudflare/resources/workers-for-platforms/dispatch/namespaces/scripts/scripts";
import { BaseSettings } from "cloudflare/resources/workers-for-platforms/dispatch/namespaces/scripts/settings";
import { createClient } from "cloudflare/tree-shakable";
import template from "../../build/machine.js.txt";
import templateVersion from "../../build/machine.version.txt";
import { linkSecretOf, reportKeyOf } from "./report-key.ts";
import { type MachineScript, MIGRATION_TAG, uploadForm } from "./upload-form.ts";

export type ProvisioningBindings = {
  /** Base URL of Cloudflare's API, or of the local platform that replaces it. */
  readonly CLOUDFLARE_API_URL: string;
  readonly CLOUDFLARE_API_TOKEN: string;
  readonly CLOUDFLARE_ACCOUNT_ID: string;
  readonly DISPATCH_NAMESPACE: string;
  /** HMAC key from which each script's report key is derived. */
  readonly REPORT_SECRET: string;
};

/** Version of the machine template: a hash of its code. */
export const TEMPLATE = templateVersion.trim();

/** Characters of the secret's fingerprint: enough to tell two secrets apart, too few to learn anything about 256 random bits. */
const FINGERPRINT_CHARACTERS = 6;

/**
 * Version of the scripts that this Operator uploads: the template's, and a fingerprint of the report secret. Scripts with another
 * version are uploaded again. The keys in the scripts are derived from that secret. If it changed and the version did not, no
 * script would be replaced, and the control API would refuse the reports of all of them.
 */
export function scriptVersion({ REPORT_SECRET }: Pick<ProvisioningBindings, "REPORT_SECRET">): string {
  const known = versions.get(REPORT_SECRET);
  if (known !== undefined) return known;
  const fingerprint = createHash("sha256").update(`report-secret:${REPORT_SECRET}`).digest("hex");
  const version = `${TEMPLATE}-${fingerprint.slice(0, FINGERPRINT_CHARACTERS)}`;
  versions.set(REPORT_SECRET, version);
  return version;
}

/** Versions by secret. An isolate has one. */
const versions = new Map<string, string>();

/** Time limit of one API request: enough to upload 1.2 MB over a slow connection. Milliseconds. */
const TIMEOUT_MS = 60_000;

export function clientOf(env: ProvisioningBindings) {
  return createClient({
    resources: [BaseScripts, BaseNamespaces, BaseSettings],
    apiToken: env.CLOUDFLARE_API_TOKEN,
    baseURL: env.CLOUDFLARE_API_URL,
    timeout: TIMEOUT_MS,
    maxRetries: 2,
  });
}

export function placeOf(env: ProvisioningBindings): { account_id: string; dispatch_namespace: string } {
  return { account_id: env.CLOUDFLARE_ACCOUNT_ID, dispatch_namespace: env.DISPATCH_NAMESPACE };
}

/**
 * Creates or replaces a machine's script. Its Durable Object keeps its storage. An open link is dropped, and the connector dials
 * again.
 * @throws the SDK's APIError, with the API's message
 */
export async function uploadScript(env: ProvisioningBindings, script: MachineScript): Promise<void> {
  try {
    await put(env, script);
  } catch (reason) {
    // The SDK repeats an upload if its response was lost. The first one may have applied the migration, so the second is refused;
    // a new attempt reads the current tag and leaves the migration out.
    if (!isMigrationMismatch(reason)) throw reason;
    await put(env, script);
  }
}

async function put(env: ProvisioningBindings, script: MachineScript): Promise<void> {
  const isMigrated = (await migrationTagOf(env, script.slug)) === MIGRATION_TAG;
  const reportKey = await reportKeyOf(script.owner, script.slug, env.REPORT_SECRET);
  const linkSecret = await linkSecretOf(script.owner, env.REPORT_SECRET);
  const body = uploadForm({
    script,
    module: template,
    template: scriptVersion(env),
    reportKey,
    linkSecret,
    isMigrated,
  });
  const { account_id: account, dispatch_namespace: namespace } = placeOf(env);
  const path = `/accounts/${account}/workers/dispatch/namespaces/${namespace}/scripts/${encodeURIComponent(script.slug)}`;
  await clientOf(env).put(path, { body });
}

/** Cloudflare's API error "Migration tag precondition failed". */
const MIGRATION_MISMATCH = 10_079;

function isMigrationMismatch(reason: unknown): boolean {
  return reason instanceof APIError && reason.errors.some(({ code }) => code === MIGRATION_MISMATCH);
}

/** The tag of the last migration applied to a script, or `null` if there is no script. The API refuses to apply a migration twice. */
async function migrationTagOf(env: ProvisioningBindings, slug: string): Promise<string | null> {
  try {
    const found = await clientOf(env).workersForPlatforms.dispatch.namespaces.scripts.get(slug, placeOf(env));
    return found.script?.migration_tag ?? null;
  } catch (reason) {
    if (reason instanceof NotFoundError) return null;
    throw reason;
  }
}

/** Deletes a machine's script and its storage. Succeeds if there is none, so that an interrupted removal can be repeated. */
export async function deleteScript(env: ProvisioningBindings, slug: string): Promise<void> {
  try {
    await clientOf(env).workersForPlatforms.dispatch.namespaces.scripts.delete(slug, { ...placeOf(env), force: true });
  } catch (reason) {
    if (!(reason instanceof NotFoundError)) throw reason;
  }
}
