import { createHash } from "node:crypto";
import { Hono } from "hono";
import { base64, hex } from "#protocol/bytes.ts";
import { errorResponse, OperatorFailure } from "#protocol/error.ts";
import type { Health, Me } from "#protocol/rest-api.ts";
import tarball from "../build/codez.tgz";
import type { AppContext } from "./http/app-context.ts";
import { admit } from "./sign-in/admission.ts";
import { tagOf } from "./http/caller.ts";
import { TEMPLATE } from "./machines/provisioning.ts";
import { setHarmless } from "./http/harmless.ts";
import { greet } from "./http/greeting.ts";
import { isRestart } from "./http/object-restart.ts";
import { reading } from "./http/needs.ts";
import { refuse } from "./http/refusal.ts";
import { audit } from "./rest/audit.ts";
import { costs } from "./rest/costs.ts";
import { enrolments } from "./rest/enrolments.ts";
import { events } from "./rest/events.ts";
import { grants } from "./rest/grants.ts";
import { history } from "./rest/history.ts";
import { deliveries } from "./rest/deliveries.ts";
import { inbox } from "./rest/inbox.ts";
import { keys } from "./rest/keys.ts";
import { machines } from "./rest/machines.ts";
import { rollout } from "./rest/rollout.ts";
import { servers } from "./rest/servers.ts";
import { tokens } from "./rest/tokens.ts";
import { webhooks } from "./rest/webhooks.ts";
import { assetAt } from "./design/asset.ts";
import { somethingFailed, unknownAddress } from "./design/error-page.tsx";
import { wantsPage } from "./design/page-wanted.ts";
import { installable } from "./pages/installable.ts";
import { pages } from "./pages/app.tsx";
import { signIn } from "./sign-in/app.ts";

/** All routes on Operator's own host, except `/mcp`. */
export const app = new Hono<AppContext>();

// Before everything that would add headers: a WebSocket's answer takes none.
app.get("/api/health", (c, next) => (c.req.header("upgrade")?.toLowerCase() === "websocket" ? greet() : next()));

// REST answers contain text that machines and clients chose, so they must be harmless when somebody opens them as a page.
app.use("/api/*", async (c, next) => {
  await next();
  setHarmless(c.res.headers);
});

app.get("/api/health", (c) => c.json({ ok: true, version: TEMPLATE } satisfies Health));

app.get("/codez.tgz", (c) => {
  // RFC 9530: a copy that was kept, or came from elsewhere, can be compared with it.
  const shown = `sha-256=:${base64(tarballDigest())}:`;
  const type = { "content-type": "application/gzip", "cache-control": "no-cache" };
  return c.body(tarball, 200, { ...type, "repr-digest": shown });
});

/** As `sha256sum --check` reads it. */
app.get("/codez.tgz.sha256", (c) => c.text(`${hex(tarballDigest())}  codez.tgz\n`));

app.get("/assets/:file", (c) => assetAt(c.req.path) ?? c.notFound());

// A browser gets a page instead (pages/overview.tsx).
app.get("/", (c, next) =>
  wantsPage(c.req.raw) && !c.env.AUTHKIT_URL
    ? next()
    : c.text(
        `Operator. MCP clients: ${c.env.ORIGIN}/mcp. A new machine: npx -y ${c.env.ORIGIN}/codez.tgz setup\n`,
        200,
        {
          vary: "accept",
        },
      ),
);

app.route("/", installable);
app.route("/", signIn);
app.route("/", pages);

// Machines that enrol have a key of their own kind, and no sign-in.
app.route("/api/enrolments", enrolments);

// Authentication only. Each route states the scope that it needs (needs.ts).
app.use("/api/*", async (c, next) => {
  const url = new URL(c.req.url);
  const caller = await admit(c.req.raw, c.env, url);
  if ("refused" in caller) return refuse(caller, url, c.env);
  c.set("caller", caller);
  return next();
});

app.get("/api/me", reading, async (c) =>
  c.json({ user: c.var.caller.user, tag: await tagOf(c.var.caller.user), version: TEMPLATE } satisfies Me),
);
app.route("/api/machines", machines);
app.route("/api/rollout", rollout);
app.route("/api/servers", servers);
app.route("/api/tokens", tokens);
app.route("/api/keys", keys);
app.route("/api/grants", grants);
app.route("/api/audit", audit);
app.route("/api/costs", costs);
app.route("/api/events", events);
app.route("/api/history", history);
app.route("/api/inbox", inbox);
app.route("/api/deliveries", deliveries);
app.route("/api/webhooks", webhooks);

app.notFound((c) => {
  const { pathname } = new URL(c.req.url);
  return isPage(c.req.raw, pathname)
    ? unknownAddress(pathname)
    : errorResponse({ code: "not_found", reason: `There is nothing at ${pathname}.` });
});

/** Requests that are answered a second time, because an object was restarted during the first. */
const repeated = new WeakSet<Request>();

app.onError((reason, c) => {
  const { pathname } = new URL(c.req.url);
  // GET has no body and changes nothing, so it may be repeated (RFC 9110 section 9.2.2).
  if (c.req.method === "GET" && isRestart(reason) && !repeated.has(c.req.raw)) {
    repeated.add(c.req.raw);
    console.warn("an object was restarted during a request, which is repeated", { path: pathname });
    return Promise.resolve(app.fetch(c.req.raw, c.env, c.executionCtx));
  }
  const wasPage = isPage(c.req.raw, pathname);
  if (reason instanceof OperatorFailure && !wasPage) return errorResponse(reason.error);
  console.error("a request failed", { path: pathname, reason: reason.stack ?? String(reason) });
  return wasPage ? somethingFailed() : errorResponse({ code: "internal" });
});

/** Whether an error is shown as a page. The REST API answers JSON to everybody. */
function isPage(request: Request, pathname: string): boolean {
  return wantsPage(request) && !pathname.startsWith("/api/");
}

/**
 * The tarball never changes within an isolate. Hashing its megabytes for each request would let strangers use up the CPU.
 */
let digest: Uint8Array | null = null;

function tarballDigest(): Uint8Array {
  digest ??= createHash("sha256").update(new Uint8Array(tarball)).digest();
  return digest;
}
