import { Hono } from "hono";
import * as z from "zod";
import type { Directory } from "./directory.ts";
import { failure, success, successList } from "./envelope.ts";
import { fail, PlatformFailure } from "./error.ts";
import { readJson } from "./json-body.ts";
import type { Namespace } from "./namespace.ts";
import { scriptRoutes } from "./script-api.ts";
import { tagFilter } from "./tag-filter.ts";
import { bears } from "./token.ts";
import { parse } from "./upload.ts";
import { namespaceView, scriptView } from "./view.ts";

/** Base path of Cloudflare's API. The SDK's `baseURL` must end with it. */
export const API_PATH = "/client/v4";
const NAMESPACES = `${API_PATH}/accounts/:account/workers/dispatch/namespaces`;

const NewNamespace = z.object({ name: z.string() });

/** The Workers for Platforms part of Cloudflare's API, for the scripts of this local platform. */
export function platformApi(directory: Directory, apiToken: string): Hono {
  const app = new Hono();
  app.onError((error) => failure(error));
  app.notFound((c) => failure(new PlatformFailure({ code: "route_unknown", path: c.req.path })));
  app.use(async (c, next) => {
    if (!bears(c.req.header("authorization"), apiToken)) fail({ code: "unauthorized" });
    await next();
  });

  app.get(NAMESPACES, () => successList(directory.list().map(viewOf)));
  app.post(NAMESPACES, async (c) => {
    const { name } = parse(NewNamespace, await readJson(c.req.raw));
    return success(viewOf(await directory.create(name)));
  });
  app.get(`${NAMESPACES}/:namespace`, (c) => success(viewOf(directory.get(c.req.param("namespace")))));
  app.delete(`${NAMESPACES}/:namespace`, async (c) => {
    await directory.remove(c.req.param("namespace"));
    return success(null);
  });

  app.get(`${NAMESPACES}/:namespace/scripts`, (c) => {
    const scripts = matching(directory.get(c.req.param("namespace")), c.req.query("tags"));
    return successList(scripts.map(({ name, record }) => scriptView(name, record)));
  });
  app.delete(`${NAMESPACES}/:namespace/scripts`, async (c) => {
    const namespace = directory.get(c.req.param("namespace"));
    const tags = c.req.query("tags");
    // Without a filter the request would delete all scripts; a forgotten parameter must not do that.
    if (!tags) fail({ code: "upload_invalid", message: "tags: required to delete scripts in bulk" });
    const scripts = matching(namespace, tags);
    await Promise.all(scripts.map(({ name }) => namespace.removeScript(name)));
    return success(scripts.map(({ name }) => ({ id: name })));
  });
  scriptRoutes(app, `${NAMESPACES}/:namespace/scripts/:script`, directory);
  return app;
}

function matching(namespace: Namespace, tags: string | undefined) {
  const matches = tagFilter(tags);
  return namespace.scripts().filter(({ record }) => matches(record.tags));
}

function viewOf(namespace: Namespace) {
  return namespaceView({ record: namespace.record, scripts: namespace.scripts().length });
}
