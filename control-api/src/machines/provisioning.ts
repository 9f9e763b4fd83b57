import { createHash } from "node:crypto";
import { APIError, NotFoundError } from "cloudflare";
import { BaseNamespaces } from "cloudflare/resources/workers-for-platforms/dispatch/namespaces/namespaces";
import { BaseScripts } from "cloudflare/resources/workers-for-platforms/dispatch/namespaces/scripts/scripts";
import { BaseSettings } from "cloudflare/resources/workers-for-platforms/dispatch/namespaces/scripts/settings";
import { createClient } from "cloudflare/tree-shakable";
import { MAX_REASON_CHARACTERS } from "#protocol/limits.ts";
import * as z from "zod/mini";
import host from "../../build/host.js.txt";
import template from "../../build/machine.js.txt";
import templateVersion from "../../build/machine.version.txt";
import { HOST, type HostedScript, hostedForm, type Wrapper } from "./hosted-form.ts";
import { linkSecretOf, reportKeyOf } from "./report-key.ts";
import { MAIN_MODULE, type MachineScript, MIGRATION_TAG, uploadForm } from "#protocol/machine-upload.ts";

export type ProvisioningBindings = {
  /** Base URL of Cloudflare's API, or of the local platform that replaces it. */
  readonly CLOUDFLARE_API_URL: string;
  readonly CLOUDFLARE_API_TOKEN: string;
  readonly CLOUDFLARE_ACCOUNT_ID: string;
  readonly DISPATCH_NAMESPACE: string;
  /** The name under which this Worker is deployed. Machine scripts report to it. */
  readonly SERVICE: string;
  /** HMAC key from which each script's report key is derived. */
  readonly REPORT_SECRET: string;
};

/** Version of the machine template: a hash of its code. */
export const TEMPLATE = templateVersion.trim();

/** Characters of a wrapper's version, as many as a template's. */
const WRAPPER_CHARACTERS = 8;

/** The wrapper of hosted servers, with a hash of its code as version. Made when it is first needed: an isolate's start should be short. */
export function wrapper(): Wrapper {
  ownWrapper ??= { version: createHash("sha256").update(host).digest("hex").slice(0, WRAPPER_CHARACTERS), code: host };
  return ownWrapper;
}

let ownWrapper: Wrapper | null = null;

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

/** A template that is not this Operator's own: the one that a machine had before a rollout. */
export type EarlierTemplate = { readonly template: string; readonly code: string };

/**
 * Creates or replaces a machine's script. Its Durable Object keeps its storage. An open link is dropped, and the connector dials
 * again.
 * @throws the SDK's APIError, with the API's message
 */
export async function uploadScript(
  env: ProvisioningBindings,
  script: MachineScript,
  earlier: EarlierTemplate | null = null,
): Promise<void> {
  const reportKey = await reportKeyOf(script.owner, script.slug, env.REPORT_SECRET);
  const linkSecret = await linkSecretOf(script.owner, env.REPORT_SECRET);
  await put(env, script.slug, (tag) =>
    uploadForm({
      script,
      module: earlier?.code ?? template,
      template: earlier?.template ?? scriptVersion(env),
      reportKey,
      linkSecret,
      isMigrated: tag === MIGRATION_TAG,
      reportsTo: env.SERVICE,
    }),
  );
}

/**
 * Creates or replaces a hosted server's script. Its secrets and its Durable Objects keep their storage.
 * @param around the wrapper, where it is not this Operator's own
 * @throws as `uploadScript`
 */
export async function uploadHosted(
  env: ProvisioningBindings,
  script: HostedScript,
  around: Wrapper = wrapper(),
): Promise<void> {
  await put(env, script.slug, (tag) => hostedForm(script, around, tag));
}

/** @param formFor makes the form; `tag` is that of the last migration which the script has, or `null` */
async function put(env: ProvisioningBindings, slug: string, formFor: (tag: string | null) => FormData): Promise<void> {
  const send = async (): Promise<void> => {
    const body = formFor(await migrationTagOf(env, slug));
    await clientOf(env).put(scriptPath(env, slug), { body });
  };
  try {
    await send();
  } catch (reason) {
    // The SDK repeats an upload if its response was lost. The first one may have applied the migration, so the second is refused;
    // a new attempt reads the current tag and leaves the migration out.
    if (!isMigrationMismatch(reason)) throw reason;
    await send();
  }
}

function scriptPath(env: ProvisioningBindings, slug: string): string {
  const { account_id: account, dispatch_namespace: namespace } = placeOf(env);
  return `/accounts/${account}/workers/dispatch/namespaces/${namespace}/scripts/${encodeURIComponent(slug)}`;
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

/** The code of a machine's script, as the API has it. @throws the SDK's APIError, or an Error if the answer has no such module */
export function scriptCode(env: ProvisioningBindings, slug: string): Promise<string> {
  return moduleOf(env, slug, MAIN_MODULE);
}

/** The code of the wrapper in a hosted server's script. @throws likewise */
export function wrapperCode(env: ProvisioningBindings, slug: string): Promise<string> {
  return moduleOf(env, slug, HOST);
}

async function moduleOf(env: ProvisioningBindings, slug: string, name: string): Promise<string> {
  const response = await clientOf(env)
    .get(`${scriptPath(env, slug)}/content`)
    .asResponse();
  // A script of modules is answered as a form with a part for each (Cloudflare API, "Get Script Content").
  const module = (await response.formData()).get(name);
  if (module === null) throw new Error(`the script ${slug} has no module ${name}`);
  return typeof module === "string" ? module : module.text();
}

/** Why an upload failed, if it may succeed later: the API is busy, or could not be reached. */
export function isPassing(reason: unknown): boolean {
  return !(reason instanceof APIError) || reason.status === undefined || reason.status === 429 || reason.status >= 500;
}

/** Deletes a machine's script and its storage. Succeeds if there is none, so that an interrupted removal can be repeated. */
export async function deleteScript(env: ProvisioningBindings, slug: string): Promise<void> {
  try {
    await clientOf(env).workersForPlatforms.dispatch.namespaces.scripts.delete(slug, { ...placeOf(env), force: true });
  } catch (reason) {
    if (!(reason instanceof NotFoundError)) throw reason;
  }
}

const SecretList = z.object({ result: z.array(z.object({ name: z.string() })) });

/** The names of a script's secrets. Nobody can read their text again. */
export async function secretNames(env: ProvisioningBindings, slug: string): Promise<string[]> {
  const { result } = SecretList.parse(await clientOf(env).get(`${scriptPath(env, slug)}/secrets`));
  return result.map(({ name }) => name);
}

/** Sets a secret. The script restarts with it. */
export async function putSecret(env: ProvisioningBindings, slug: string, name: string, text: string): Promise<void> {
  await clientOf(env).put(`${scriptPath(env, slug)}/secrets`, { body: { name, text, type: "secret_text" } });
}

/** Deletes a secret. Succeeds if there is none. */
export async function deleteSecret(env: ProvisioningBindings, slug: string, name: string): Promise<void> {
  try {
    await clientOf(env).delete(`${scriptPath(env, slug)}/secrets/${encodeURIComponent(name)}`);
  } catch (reason) {
    if (!(reason instanceof NotFoundError)) throw reason;
  }
}

/** What the API says is wrong with an upload, when that is the uploader's own fault; `null` for any other failure. */
export function uploadFault(reason: unknown): string | null {
  if (!(reason instanceof APIError) || reason.status !== 400) return null;
  return reason.errors
    .map(({ message }) => message)
    .join("; ")
    .slice(0, MAX_REASON_CHARACTERS);
}
