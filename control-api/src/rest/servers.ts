import { Hono } from "hono";
import * as z from "zod/mini";
import { machineUrls } from "#protocol/address.ts";
import { errorResponse, type OperatorError } from "#protocol/error.ts";
import {
  BindingName,
  type HostedServer,
  MAX_SERVER_BYTES,
  MAX_SERVER_MODULES,
  RollbackRequest,
  SecretRequest,
  ServerConfig,
} from "#protocol/hosted-server.ts";
import { parseJson } from "#protocol/json.ts";
import type { AppContext } from "../http/app-context.ts";
import { hasTooManyFields } from "../http/form-fields.ts";
import { largeCalls, missingBody } from "../http/large-calls.ts";
import { administering, reading, refuseStale } from "../http/needs.ts";
import type { AuditEntry } from "../audit/entry.ts";
import { note } from "../audit/note.ts";
import { notify } from "../audit/notice.ts";
import type { Caller } from "../http/caller.ts";
import type { Env } from "../env.ts";
import type { ServerBundle, ServerModule } from "../machines/hosted-form.ts";
import type { ServerRecord } from "../user/server-store.ts";
import { registryOf } from "../user/user-rpc.ts";

/** Room for the form's own lines and the configuration. */
const FORM_BYTES = 256 * 1024;

const TOO_LARGE = `The modules may have ${MAX_SERVER_BYTES / 1024 / 1024} MB together.`;

const TOO_MANY = `A server may have ${MAX_SERVER_MODULES} modules.`;

/** The content types of modules that wrangler writes (workers-sdk, `create-worker-upload-form.ts`). */
const ModuleType = z.enum([
  "application/javascript+module",
  "application/javascript",
  "application/wasm",
  "text/plain",
  "application/octet-stream",
  "application/json",
]);

/** A relative path without `.` or `..`. */
const ModuleName = z
  .string()
  .check(z.regex(/^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[\w.@+-]+(?:\/[\w.@+-]+){0,8}$/), z.maxLength(200));

/** `/api/servers`: hosted servers, for `operator servers`. */
export const servers = new Hono<AppContext>();

servers.get("/", reading, async (c) => {
  const records: ServerRecord[] = await registryOf(c.env, c.var.caller.user).servers();
  const visible = records.filter(({ name }) => c.var.caller.machines?.includes(name) ?? true);
  return c.json({ servers: visible.map((record) => viewOf(record, c.env)) });
});

servers.get("/:name", reading, async (c) => {
  const name = c.req.param("name");
  const isVisible = c.var.caller.machines?.includes(name) ?? true;
  const record: ServerRecord | null = isVisible ? await registryOf(c.env, c.var.caller.user).server(name) : null;
  return record === null ? unknown(name) : c.json(viewOf(record, c.env));
});

servers.put("/:name", administering, async (c) => {
  const name = c.req.param("name");
  const held = await largeCalls.read(c.req.raw, MAX_SERVER_BYTES + FORM_BYTES, c.var.caller);
  if ("missing" in held) return held.missing === "too_large" ? invalid(TOO_LARGE) : errorResponse(missingBody(held));
  const bundle = await bundleIn(c.req.raw, held.bytes).finally(() => held[Symbol.dispose]());
  if (typeof bundle === "string") return invalid(bundle);
  const deployed: ServerRecord | OperatorError = await registryOf(c.env, c.var.caller.user).deployServer(
    name,
    bundle,
    c.var.caller.credential ?? null,
  );
  if ("code" in deployed) return errorResponse(deployed);
  const isNew = deployed.version === 1;
  log(
    c.var.caller,
    c.env,
    isNew ? "machine_added" : "machine_changed",
    name,
    `hosted server, version ${deployed.version}`,
  );
  if (isNew) notify(c.env, c.var.caller.user, { type: "notice.machine_added", what: name, by: c.var.caller.client });
  else tell(c.var.caller, c.env, `${name} (new code)`);
  return c.json(viewOf(deployed, c.env), isNew ? 201 : 200);
});

servers.post("/:name/rollback", administering, async (c) => {
  const name = c.req.param("name");
  const request = RollbackRequest.safeParse(parseJson((await c.req.text()) || "{}"));
  if (!request.success) return invalid("Send { version }, or {} for the version before the current one.");
  const { version = null } = request.data;
  const back: ServerRecord | OperatorError = await registryOf(c.env, c.var.caller.user).rollBackServer(
    name,
    version,
    c.var.caller.credential ?? null,
  );
  if ("code" in back) return errorResponse(back);
  log(c.var.caller, c.env, "machine_changed", name, `hosted server, back to version ${back.version}`);
  tell(c.var.caller, c.env, `${name} (earlier code)`);
  return c.json(viewOf(back, c.env));
});

servers.get("/:name/secrets", reading, async (c) => {
  const name = c.req.param("name");
  if (!(c.var.caller.machines?.includes(name) ?? true)) return unknown(name);
  const secrets: string[] | OperatorError = await registryOf(c.env, c.var.caller.user).serverSecrets(name);
  return "code" in secrets ? errorResponse(secrets) : c.json({ secrets });
});

servers.put("/:name/secrets/:secret", administering, async (c) => {
  const { name, secret } = c.req.param();
  const request = SecretRequest.safeParse(await c.req.json().catch(() => null));
  if (!request.success) return invalid("Send { value }: a secret of 1 to 5,120 characters.");
  return changeSecret(c.var.caller, c.env, name, secret, request.data.value);
});

servers.delete("/:name/secrets/:secret", administering, async (c) => {
  const { name, secret } = c.req.param();
  return changeSecret(c.var.caller, c.env, name, secret, null);
});

servers.delete("/:name", administering, async (c) => {
  const name = c.req.param("name");
  // `remove` deletes machines as well, and this route must not.
  const record: ServerRecord | null = await registryOf(c.env, c.var.caller.user).server(name);
  return record === null ? unknown(name) : deleteServer(c.var.caller, c.env, name);
});

/**
 * Deletes a hosted server. Its data and secrets cannot be brought back, so this takes a person who has signed in lately, as on its page.
 * Everything else that a token with `operator:admin` may do with a server can be undone, and is announced.
 */
export async function deleteServer(caller: Caller, env: Env, name: string): Promise<Response> {
  const page = `${env.ORIGIN}/machines/${encodeURIComponent(name)}/remove`;
  const refused = refuseStale(caller, "Deleting a hosted server with its data", page);
  if (refused !== null) return refused;
  const error: OperatorError | null = await registryOf(env, caller.user).remove(name, caller.credential ?? null);
  if (error !== null) return errorResponse(error);
  log(caller, env, "machine_removed", name, "hosted server");
  tell(caller, env, `${name} (deleted)`);
  return new Response(null, { status: 204 });
}

async function changeSecret(
  caller: Caller,
  env: Env,
  name: string,
  secret: string,
  value: string | null,
): Promise<Response> {
  if (!BindingName.safeParse(secret).success)
    return invalid(
      `"${secret}" cannot be a secret's name: use letters, digits and _, and do not begin with OPERATOR_.`,
    );
  const error: OperatorError | null = await registryOf(env, caller.user).setServerSecret(
    name,
    secret,
    value,
    caller.credential ?? null,
  );
  if (error !== null) return errorResponse(error);
  log(caller, env, "machine_changed", name, `secret ${secret} ${value === null ? "deleted" : "set"}`);
  tell(caller, env, `${name} (secret ${secret})`);
  return new Response(null, { status: 204 });
}

/** The version in a deployment's form, or a sentence that says what is wrong with it. */
async function bundleIn(request: Request, body: Uint8Array<ArrayBuffer>): Promise<ServerBundle | string> {
  if (hasTooManyFields(body, request.headers.get("content-type"))) return TOO_MANY;
  const form = await new Request(request, { method: "PUT", body }).formData().catch(() => null);
  const text = form?.get("config");
  if (form === null || typeof text !== "string")
    return "Send a multipart form with a field config and a file for each module.";
  const config = ServerConfig.safeParse(parseJson(text));
  if (!config.success) return `config is not valid: ${z.prettifyError(config.error)}`;
  const modules: ServerModule[] = [];
  for (const [name, file] of form) {
    if (name === "config") continue;
    if (typeof file === "string") return `"${name}" must be a file with a content type.`;
    const type = ModuleType.safeParse(file.type.split(";")[0]);
    if (!type.success) return `module "${name}" has the content type "${file.type}", which no module may have.`;
    if (!ModuleName.safeParse(name).success) return `"${name}" cannot be a module's name.`;
    modules.push({ name, type: type.data, content: await file.arrayBuffer() });
  }
  if (modules.length > MAX_SERVER_MODULES) return TOO_MANY;
  if (new Set(modules.map(({ name }) => name)).size < modules.length) return "Two modules have the same name.";
  const { mainModule } = config.data;
  if (!modules.some(({ name, type }) => name === mainModule && type === "application/javascript+module"))
    return `The main module "${mainModule}" is not among the modules, or not an ES module.`;
  return { config: config.data, modules };
}

function viewOf({ name, slug, version, versions, createdMs }: ServerRecord, env: Env): HostedServer {
  const { mcpUrl, mcpHostUrl } = machineUrls(slug, env.ORIGIN, env.DOMAIN);
  return { name, slug, version, versions, createdMs, mcpUrl, mcpHostUrl };
}

function log(caller: Caller, env: Env, kind: AuditEntry["kind"], machine: string, subject: string): void {
  note(env, caller.user, { kind, client: caller.client, machine, subject });
}

/** Notifies the server's owner. Its code sees what their clients send, and its secrets decide where that goes. */
function tell(caller: Caller, env: Env, what: string): void {
  notify(env, caller.user, { type: "notice.server_changed", what, by: caller.client });
}

function unknown(name: string): Response {
  return errorResponse({ code: "machine_unknown", machine: name });
}

function invalid(reason: string): Response {
  return errorResponse({ code: "invalid_request", reason });
}
