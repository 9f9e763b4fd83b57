import type { Context, Hono } from "hono";
import * as z from "zod";
import type { Directory } from "./directory.ts";
import { success, successList } from "./envelope.ts";
import { fail } from "./error.ts";
import { REPEATS_HEADER } from "./hostility/api-faults.ts";
import { readJson } from "./json-body.ts";
import { Binding, BindingName, isTooLong, MOST_BINDINGS, Tags, TEXT_TOO_LONG, TOO_MANY_BINDINGS } from "./metadata.ts";
import type { OwnBinding } from "./metadata.ts";
import type { ScriptModule } from "./upload.ts";
import { metadataOf, parse, readForm, readUpload } from "./upload.ts";
import type { UserScript } from "./user-script.ts";
import { bindingView, scriptDetailView, scriptView, settingsView } from "./view.ts";

const Secret = z
  .object({ name: BindingName, text: z.string(), type: z.literal("secret_text").default("secret_text") })
  .refine((secret) => !isTooLong(secret), TEXT_TOO_LONG);
const Settings = z.object({ bindings: z.array(Binding).optional(), tags: Tags.optional() });

/** The routes below one script's path. */
export function scriptRoutes(app: Hono, path: string, directory: Directory): void {
  const namespaceOf = (c: Context) => directory.get(c.req.param("namespace") ?? "");
  const scriptOf = (c: Context): UserScript => namespaceOf(c).script(c.req.param("script") ?? "");

  app.put(path, async (c) => {
    const name = c.req.param("script") ?? "";
    const upload = await readUpload(c.req.raw);
    const record = await namespaceOf(c).upload(name, upload, c.req.header(REPEATS_HEADER) !== undefined);
    return success({ ...scriptView(name, record), startup_time_ms: 0 });
  });
  app.get(path, (c) => {
    const { name, record } = scriptOf(c);
    return success(scriptDetailView(namespaceOf(c), name, record));
  });
  app.delete(path, async (c) => {
    await namespaceOf(c).removeScript(c.req.param("script") ?? "");
    return success(null);
  });
  app.get(`${path}/content`, async (c) => {
    const { folder, record } = scriptOf(c);
    return contentOf(await folder.readModules(record), record.mainModule);
  });

  app.get(`${path}/bindings`, (c) => successList(scriptOf(c).record.bindings.map(bindingView)));
  app.get(`${path}/settings`, (c) => success(settingsView(scriptOf(c).record)));
  app.patch(`${path}/settings`, async (c) => {
    const script = scriptOf(c);
    const { bindings, tags } = parse(Settings, await metadataOf(await readForm(c.req.raw), "settings"));
    if (bindings) await script.rebind((before) => resolveInherited(bindings, before));
    if (tags) await script.retag(() => tags);
    return success(settingsView(script.record));
  });

  app.get(`${path}/tags`, (c) => successList(scriptOf(c).record.tags));
  app.put(`${path}/tags`, async (c) => {
    const tags = parse(Tags, await readJson(c.req.raw));
    return successList(await scriptOf(c).retag(() => tags));
  });
  app.put(`${path}/tags/:tag`, async (c) => {
    const tag = c.req.param("tag") ?? "";
    return successList(await scriptOf(c).retag((tags) => parse(Tags, [...new Set([...tags, tag])])));
  });
  app.delete(`${path}/tags/:tag`, async (c) => {
    const tag = c.req.param("tag") ?? "";
    await scriptOf(c).retag((tags) => tags.filter((one) => one !== tag));
    return success(null);
  });

  app.get(`${path}/secrets`, (c) => successList(scriptOf(c).record.bindings.filter(isSecret).map(bindingView)));
  app.put(`${path}/secrets`, async (c) => {
    const secret = parse(Secret, await readJson(c.req.raw));
    await scriptOf(c).rebind((bindings) => {
      const others = bindings.filter(({ name }) => name !== secret.name);
      // Each is a change of its own, so the limit of an upload does not hold them.
      if (others.length === bindings.length && others.length >= MOST_BINDINGS)
        fail({ code: "upload_invalid", message: TOO_MANY_BINDINGS });
      return [...others, secret];
    });
    return success(bindingView(secret));
  });
  app.get(`${path}/secrets/:secret`, (c) => {
    const name = c.req.param("secret") ?? "";
    const secret = scriptOf(c).record.bindings.find((binding) => isSecret(binding) && binding.name === name);
    return success(bindingView(secret ?? fail({ code: "secret_unknown", secret: name })));
  });
  app.delete(`${path}/secrets/:secret`, async (c) => {
    const name = c.req.param("secret") ?? "";
    await scriptOf(c).rebind((bindings) => {
      const rest = bindings.filter((binding) => !(isSecret(binding) && binding.name === name));
      return rest.length < bindings.length ? rest : fail({ code: "secret_unknown", secret: name });
    });
    return success(null);
  });
}

function isSecret({ type }: OwnBinding): boolean {
  return type === "secret_text";
}

function resolveInherited(bindings: readonly Binding[], before: readonly OwnBinding[]): OwnBinding[] {
  return bindings.flatMap((binding) => {
    if (binding.type !== "inherit") return [binding];
    return before.filter(({ name }) => name === binding.name);
  });
}

/** The modules as a multipart form, the form in which Cloudflare returns a script of modules. */
function contentOf(modules: readonly ScriptModule[], main: string): Response {
  const form = new FormData();
  for (const { name, contents } of modules) form.append(name, new Blob([new Uint8Array(contents)]), name);
  return new Response(form, { headers: { "cf-entrypoint": main } });
}
