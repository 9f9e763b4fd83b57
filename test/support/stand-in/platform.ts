import { describe, PlatformFailure } from "../../../scripts/local/platform/error.ts";
import { type DurableClasses, migrate } from "../../../scripts/local/platform/migrations.ts";
import { type ScriptModule, uploadIn } from "../../../scripts/local/platform/upload.ts";
import { describeParts, hostedUpload, machineUpload, type UploadPart } from "./wrangler-upload.ts";

/** The parts of one platform API call that tests read. Only uploads have `metadata` and `module`. */
export type PlatformCall = {
  method: string;
  path: string;
  authorization: string | null;
  metadata?: { bindings: Record<string, string>[]; tags: string[]; migrations?: unknown; main_module: string };
  module?: { name: string; type: string; bytes: number };
  parts?: UploadPart[];
};

const SCRIPTS = "/client/v4/accounts/local/workers/dispatch/namespaces/operator/scripts";
const SCRIPT = new RegExp(`^${SCRIPTS}/([^/]+)$`);
const CONTENT = new RegExp(`^${SCRIPTS}/([^/]+)/content$`);
const SECRETS = new RegExp(`^${SCRIPTS}/([^/]+)/secrets(?:/([^/]+))?$`);
const SETTINGS = new RegExp(`^${SCRIPTS}/([^/]+)/settings$`);

type Binding = Record<string, string>;
type Script = {
  tag: string | undefined;
  classes: DurableClasses;
  bindings: Binding[];
  modules: readonly ScriptModule[];
};

type Asked = {
  method: string;
  url: string;
  headers: { get(name: string): string | null };
  formData(): Promise<FormData>;
  json(): Promise<unknown>;
};

/**
 * The internet as the control API under test sees it: Cloudflare's API for scripts of a dispatch namespace, in as much
 * as the official SDK asks of it, at http://platform.test/client/v4. Uploads are checked by the local platform's own rules.
 * A script whose name begins with `unlucky` cannot be
 * uploaded, and one whose name begins with `once-lucky` cannot be uploaded again; the first upload of one whose name begins with `echoless` is carried out and answered with an error; the first deletion of one whose
 * name begins with `sticky` is refused. The second PUT of one whose name begins with `unanswered-put-2` is carried out and never answered, and so on.
 * `GET http://platform.test/calls?script=` answers the test what was asked about that script; `/wrangler-upload/machine` and
 * `/wrangler-upload/hosted` the form that wrangler would send.
 */
export function platform(): (request: Asked) => Promise<Response> {
  const scripts = new Map<string, Script>();
  /** Names of the secrets of hosted servers. */
  const secrets = new Map<string, Set<string>>();
  /** Scripts whose deletion was refused. */
  const refused = new Set<string>();
  /** By script, because all tests together make tens of thousands. */
  const calls = new Map<string, PlatformCall[]>();
  const callsAbout = (script: string): PlatformCall[] => {
    const known = calls.get(script) ?? [];
    calls.set(script, known);
    return known;
  };
  const isUnanswered = (method: string, script: string): boolean => {
    const [, wanted, count] = /^unanswered-(put|delete)-(\d)--/.exec(script) ?? [];
    if (method !== wanted?.toUpperCase()) return false;
    return callsAbout(script).filter((one) => one.method === method).length === Number(count);
  };

  async function put(request: Asked, script: string, call: PlatformCall): Promise<Response> {
    const form = await request.formData();
    const { metadata, modules } = await uploadIn(form);
    const [main] = modules;
    Object.assign(call, { metadata, parts: describeParts(form) });
    if (main !== undefined)
      Object.assign(call, {
        module: { name: main.name, type: (form.get(main.name) as File).type, bytes: main.contents.length },
      });
    const before = scripts.get(script);
    const { tag, classes } = migrate(before?.classes ?? {}, before?.tag, metadata.migrations);
    const after = {
      tag,
      classes,
      bindings: metadata.bindings as unknown as Binding[],
      modules,
    };
    if (script.startsWith("echoless") && before === undefined) {
      scripts.set(script, after);
      return failure(500, 10_001, "The reply to an upload that was carried out got lost.");
    }
    if (script.startsWith("unlucky") || (script.startsWith("once-lucky") && before !== undefined))
      return failure(403, 10_121, "You do not have access to dispatch namespaces.");
    scripts.set(script, after);
    return success({ id: script });
  }

  return async (request) => {
    const { hostname, pathname, searchParams } = new URL(request.url);
    if (hostname !== "platform.test") return new Response("there is no such host in this test", { status: 599 });
    if (pathname === "/calls") return Response.json(callsAbout(searchParams.get("script") ?? ""));
    if (pathname === "/wrangler-upload/machine") return Response.json(await machineUpload());
    if (pathname === "/wrangler-upload/hosted") return Response.json(await hostedUpload());
    if (pathname === SCRIPTS) return success([...scripts.keys()].map((id) => ({ id })));
    const shown = SETTINGS.exec(pathname)?.[1];
    if (shown !== undefined) {
      if (!scripts.has(shown)) return failure(404, 10_007, "workers.api.error.script_not_found");
      // A secret's text is never shown.
      const visible = (scripts.get(shown)?.bindings ?? []).map(({ text, ...one }) =>
        one["type"] === "plain_text" ? { ...one, text } : one,
      );
      return success({ bindings: visible });
    }
    const [, holder = "", secret] = SECRETS.exec(pathname) ?? [];
    if (holder !== "") {
      if (!scripts.has(holder)) return failure(404, 10_007, "workers.api.error.script_not_found");
      const names = secrets.get(holder) ?? new Set();
      secrets.set(holder, names);
      if (request.method === "GET") return success([...names].map((name) => ({ name, type: "secret_text" })));
      if (request.method === "PUT") return success(names.add(((await request.json()) as { name: string }).name));
      return names.delete(secret ?? "") ? success(null) : failure(404, 10_056, "Secret not found.");
    }
    const kept = CONTENT.exec(pathname)?.[1];
    if (kept !== undefined) {
      callsAbout(kept).push({ method: request.method, path: pathname, authorization: null });
      const modules = scripts.get(kept)?.modules;
      if (modules === undefined) return failure(404, 10_007, "workers.api.error.script_not_found");
      const form = new FormData();
      for (const { name, contents } of modules)
        form.set(name, new File([contents], name, { type: "application/javascript+module" }));
      return new Response(form);
    }
    const script = SCRIPT.exec(pathname)?.[1];
    if (script === undefined) return failure(404, 7_003, "Could not route to this path.");
    // An upload completes its entry later, when other calls may follow it.
    const call: PlatformCall = {
      method: request.method,
      path: pathname,
      authorization: request.headers.get("authorization"),
    };
    callsAbout(script).push(call);
    const answered = await answer(request, script, call);
    return isUnanswered(request.method, script) ? new Promise(() => undefined) : answered;
  };

  async function answer(request: Asked, script: string, call: PlatformCall): Promise<Response> {
    switch (request.method) {
      case "PUT":
        return put(request, script, call).catch((reason: unknown) => {
          if (!(reason instanceof PlatformFailure)) throw reason;
          const { status, code, message } = describe(reason.error);
          return failure(status, code, message);
        });
      case "GET":
        if (!scripts.has(script)) return failure(404, 10_007, "workers.api.error.script_not_found");
        return success({
          dispatch_namespace: "operator",
          script: { id: script, migration_tag: scripts.get(script)?.tag },
        });
      case "DELETE":
        if (script.startsWith("sticky") && !refused.has(script)) {
          refused.add(script);
          return failure(403, 10_000, "Authentication error");
        }
        return scripts.delete(script) ? success(null) : failure(404, 10_007, "workers.api.error.script_not_found");
      default:
        return failure(405, 10_000, "Method not allowed.");
    }
  }
}

function success(result: unknown): Response {
  return Response.json({ success: true, errors: [], messages: [], result });
}

function failure(status: number, code: number, message: string): Response {
  return Response.json({ success: false, errors: [{ code, message }], messages: [], result: null }, { status });
}
