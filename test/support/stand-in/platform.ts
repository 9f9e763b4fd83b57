import { metadataOf } from "../../../scripts/local/platform/upload.ts";
import { describeParts, type UploadPart, wranglerUpload } from "./wrangler-upload.ts";

/** What a test reads of one call of the platform's API. `metadata` and `module` of an upload alone. */
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
const SETTINGS = new RegExp(`^${SCRIPTS}/([^/]+)/settings$`);

type Binding = Record<string, string>;

type Asked = {
  method: string;
  url: string;
  headers: { get(name: string): string | null };
  formData(): Promise<FormData>;
};

/**
 * The internet as the control API under test sees it: Cloudflare's API for scripts of a dispatch namespace, in as much
 * as the official SDK asks of it, at http://platform.test/client/v4. A script whose name begins with `unlucky` cannot be
 * uploaded; the first upload of one whose name begins with `echoless` is carried out and answered with an error.
 * `GET http://platform.test/calls?script=` answers the test what was asked about that script, and `/wrangler-upload` the form
 * that wrangler would send.
 */
export function platform(): (request: Asked) => Promise<Response> {
  const scripts = new Map<string, string | undefined>();
  const bindings = new Map<string, Binding[]>();
  const calls: (PlatformCall & { script: string })[] = [];

  async function put(request: Asked, script: string, call: PlatformCall): Promise<Response> {
    const form = await request.formData();
    const metadata = (await metadataOf(form)) as NonNullable<PlatformCall["metadata"]> & {
      migrations?: { new_tag: string };
    };
    const files = Array.from(form).flatMap(([, value]) => (typeof value === "string" ? [] : [value]));
    const [module] = files;
    Object.assign(
      call,
      { metadata, parts: describeParts(form) },
      module === undefined ? {} : { module: { name: module.name, type: module.type, bytes: module.size } },
    );
    if (script.startsWith("echoless") && !scripts.has(script)) {
      scripts.set(script, metadata.migrations?.new_tag);
      return failure(500, 10_001, "The reply to an upload that was carried out got lost.");
    }
    if (script.startsWith("unlucky")) return failure(403, 10_121, "You do not have access to dispatch namespaces.");
    if (metadata.migrations !== undefined && scripts.has(script))
      return failure(400, 10_079, `Migration tag precondition failed; current tag is '${scripts.get(script)}'`);
    scripts.set(script, metadata.migrations?.new_tag ?? scripts.get(script));
    bindings.set(script, metadata.bindings);
    return success({ id: script });
  }

  return async (request) => {
    const { hostname, pathname, searchParams } = new URL(request.url);
    if (hostname !== "platform.test") return new Response("there is no such host in this test", { status: 599 });
    if (pathname === "/calls")
      return Response.json(calls.filter(({ script }) => script === searchParams.get("script")));
    if (pathname === "/wrangler-upload") return Response.json(await wranglerUpload());
    if (pathname === SCRIPTS) return success([...scripts.keys()].map((id) => ({ id })));
    const shown = SETTINGS.exec(pathname)?.[1];
    if (shown !== undefined) {
      if (!scripts.has(shown)) return failure(404, 10_007, "workers.api.error.script_not_found");
      // A secret's text is never shown.
      const visible = (bindings.get(shown) ?? []).map(({ text, ...one }) =>
        one["type"] === "plain_text" ? { ...one, text } : one,
      );
      return success({ bindings: visible });
    }
    const script = SCRIPT.exec(pathname)?.[1];
    if (script === undefined) return failure(404, 7_003, "Could not route to this path.");
    const call: PlatformCall = {
      method: request.method,
      path: pathname,
      authorization: request.headers.get("authorization"),
    };
    calls.push({ script, ...call });
    switch (request.method) {
      case "PUT": {
        const response = await put(request, script, call);
        calls.splice(calls.length - 1, 1, { script, ...call });
        return response;
      }
      case "GET":
        if (!scripts.has(script)) return failure(404, 10_007, "workers.api.error.script_not_found");
        return success({ dispatch_namespace: "operator", script: { id: script, migration_tag: scripts.get(script) } });
      case "DELETE":
        return scripts.delete(script) ? success(null) : failure(404, 10_007, "workers.api.error.script_not_found");
      default:
        return failure(405, 10_000, "Method not allowed.");
    }
  };
}

function success(result: unknown): Response {
  return Response.json({ success: true, errors: [], messages: [], result });
}

function failure(status: number, code: number, message: string): Response {
  return Response.json({ success: false, errors: [{ code, message }], messages: [], result: null }, { status });
}
