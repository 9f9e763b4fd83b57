/**
 * The Worker to which the checked machine script reports, in place of the control API. It keeps the last report and shows it to the
 * check, which alone knows the key. It is uploaded as it stands here, so it is JavaScript.
 */
const REPORTS_WORKER = `
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
export class Kept extends DurableObject {
  keep(text) { this.ctx.storage.kv.put("last", text); }
  last() { return this.ctx.storage.kv.get("last") ?? ""; }
}
export class Reports extends WorkerEntrypoint {
  async fetch(request) {
    const text = await request.text();
    await this.env.KEPT.getByName("all").keep(text);
    const seq = JSON.parse(text).presence.position.seq;
    return new Response(null, { status: 204, headers: { "x-operator-stored": String(seq) } });
  }
}
export default {
  async fetch(request, env) {
    if (request.headers.get("x-check-key") !== env.CHECK_KEY) return new Response(null, { status: 404 });
    return new Response(await env.KEPT.getByName("all").last());
  },
};`;

/** Its upload. Free accounts have Durable Objects with SQLite only. */
export function reportsForm(key: string): FormData {
  const metadata = {
    main_module: "index.js",
    compatibility_date: "2026-08-01",
    migrations: { new_tag: "v1", new_sqlite_classes: ["Kept"] },
    bindings: [
      { type: "durable_object_namespace", name: "KEPT", class_name: "Kept" },
      { type: "secret_text", name: "CHECK_KEY", text: key },
    ],
  };
  const form = new FormData();
  form.set("metadata", JSON.stringify(metadata));
  form.set("index.js", new File([REPORTS_WORKER], "index.js", { type: "application/javascript+module" }));
  return form;
}
