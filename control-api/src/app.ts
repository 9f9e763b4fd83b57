import { Hono } from "hono";
import { cors } from "hono/cors";
import { detailsOf, errorResponse } from "#protocol/error.ts";
import { ScriptPath } from "#protocol/script-api.ts";
import { isSlug } from "#protocol/slug.ts";
import tarball from "../build/codez.tgz";
import type { AppContext } from "./app-context.ts";
import { authenticate } from "./authenticate.ts";
import { tagOf } from "./caller.ts";
import type { Env } from "./env.ts";
import { isLoopbackHost } from "./loopback.ts";
import { passToMachine } from "./machine-door.ts";
import { serveMcp } from "./mcp/endpoint.ts";
import { TEMPLATE } from "./provisioning.ts";
import { events } from "./routes/events.ts";
import { machines } from "./routes/machines.ts";
import { tokens } from "./routes/tokens.ts";

/** Browsers' MCP clients read these (MCP, Streamable HTTP). */
const EXPOSED = ["mcp-session-id", "mcp-protocol-version", "www-authenticate", "x-operator-error"];

export const app = new Hono<AppContext>();

app.use("/mcp", cors({ origin: (origin) => origin, exposeHeaders: EXPOSED, maxAge: 86_400 }));
app.use("/m/*", cors({ origin: (origin) => origin, exposeHeaders: EXPOSED, maxAge: 86_400 }));

app.use("*", async (c, next) => {
  const url = new URL(c.req.url);
  const slug = hostSlug(url.hostname, c.env.DOMAIN);
  if (slug !== null) return toMachine(c.req.raw, c.env, slug, url.pathname);
  return isOwnHost(url.hostname, c.env)
    ? next()
    : errorResponse({
        code: "invalid_request",
        reason: `This Operator is ${c.env.ORIGIN}; it knows no host "${url.hostname}".`,
      });
});

app.get("/api/health", (c) => c.json({ ok: true, version: TEMPLATE }));

app.get("/codez.tgz", (c) => c.body(tarball, 200, { "content-type": "application/gzip", "cache-control": "no-cache" }));

app.get("/", (c) =>
  c.text(`Operator. MCP clients: ${c.env.ORIGIN}/mcp. A new machine: npx -y ${c.env.ORIGIN}/codez.tgz setup\n`),
);

app.all("/m/:slug/*", (c) => {
  const slug = c.req.param("slug");
  return toMachine(c.req.raw, c.env, slug, new URL(c.req.url).pathname.slice(`/m/${slug}`.length));
});

app.use("*", async (c, next) => {
  const caller = await authenticate(c.req.raw, c.env);
  if (caller === null) return unauthorized();
  c.set("caller", caller);
  return next();
});

app.all("/mcp", (c) => serveMcp(c.req.raw, c.env, c.var.caller));
app.get("/api/me", async (c) =>
  c.json({ user: c.var.caller.user, tag: await tagOf(c.var.caller.user), version: TEMPLATE }),
);
app.route("/api/machines", machines);
app.route("/api/tokens", tokens);
app.route("/api/events", events);

app.notFound((c) =>
  c.json(
    { error: { code: "not_found", message: `There is nothing at ${new URL(c.req.url).pathname}.`, retryable: false } },
    404,
  ),
);

app.onError((reason, c) => {
  console.error("a request failed", { path: new URL(c.req.url).pathname, reason: reason.stack ?? String(reason) });
  const message =
    "Operator failed at this request. Its log says how (`npx wrangler tail operator`, or the terminal of `npm start`).";
  return c.json({ error: { code: "internal", message, retryable: true } }, 500);
});

/** A machine's own URL: passed through once the caller is known. The machine's link authenticates itself at its script. */
async function toMachine(request: Request, env: Env, slug: string, path: string): Promise<Response> {
  if (path === ScriptPath.LINK)
    return isSlug(slug) ? passToMachine(request, env, null, slug, path) : errorResponse({ code: "unauthorized" });
  const caller = await authenticate(request, env);
  if (caller === null) return unauthorized();
  if (path !== ScriptPath.MCP) return notThere();
  const name = slug.split("--")[0] ?? slug;
  if (!isSlug(slug) || !(caller.machines?.includes(name) ?? true))
    return errorResponse({ code: "machine_unknown", machine: slug });
  return passToMachine(request, env, caller.user, slug, path);
}

function notThere(): Response {
  return Response.json(
    { error: { code: "not_found", message: "A machine answers at /mcp only.", retryable: false } },
    { status: 404 },
  );
}

function unauthorized(): Response {
  const error = detailsOf({ code: "unauthorized" });
  return Response.json({ error }, { status: 401, headers: { "www-authenticate": "Bearer" } });
}

/** The label of a machine's own host, `<slug>.<domain>`; whether there is such a machine is another question. */
function hostSlug(hostname: string, domain: string): string | null {
  return hostname.endsWith(`.${domain}`) ? hostname.slice(0, -domain.length - 1) : null;
}

/** Whether a host is this Operator's apex. Any other is a stranger's name that was pointed here (DNS rebinding). */
function isOwnHost(hostname: string, env: Env): boolean {
  return (
    hostname === env.DOMAIN ||
    hostname === new URL(env.ORIGIN).hostname ||
    (env.LOOPBACK_OWNER !== undefined && isLoopbackHost(hostname))
  );
}
