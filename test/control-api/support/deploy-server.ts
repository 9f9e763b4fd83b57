import type { TestUser } from "./operator.ts";

type Module = { readonly name: string; readonly type: string; readonly text: string };
export type Given = { readonly config?: object; readonly modules?: readonly Module[]; readonly length?: number };

const PLAIN = {
  mainModule: "index.js",
  compatibilityDate: "2026-08-01",
  compatibilityFlags: [],
  vars: {},
  objects: [],
  migrations: [],
};

/** The main module of a server. */
export function mainModule(text: string): Module {
  return { name: "index.js", type: "application/javascript+module", text };
}

/**
 * Deploys a hosted server, as `operator servers deploy` does: a server without vars and objects unless `config` says otherwise.
 * @param length the length that the request states, if that is not the length of its body
 */
export async function deployServer(user: TestUser, name: string, given: Given = {}): Promise<Response> {
  return user.fetch(`/api/servers/${name}`, { method: "PUT", ...(await deployment(given)) });
}

/** The request that deploys a hosted server. */
export async function deployment({
  config = PLAIN,
  modules = [mainModule("export default {};")],
  length,
}: Given = {}): Promise<{ headers: Record<string, string>; body: ArrayBuffer }> {
  const form = new FormData();
  form.set("config", JSON.stringify(config));
  for (const { name: part, type, text } of modules) form.append(part, new File([text], part, { type }));
  const encoded = new Response(form);
  const type = encoded.headers.get("content-type") ?? "";
  const body = await encoded.arrayBuffer();
  return { headers: { "content-type": type, "content-length": String(length ?? body.byteLength) }, body };
}
