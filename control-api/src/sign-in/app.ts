import { Hono } from "hono";
import type { Env } from "../env.ts";
import { refuse } from "../http/refusal.ts";
import type { Rate } from "#protocol/token-bucket.ts";
import { TokenBuckets } from "../http/token-buckets.ts";
import { addressOf, rateAt } from "./address.ts";
import { authorize } from "./oauth/authorize.tsx";
import { OAuthPath } from "./oauth/authorization-server.ts";
import { deviceEndpoint } from "./oauth/device-endpoint.ts";
import { registration } from "./oauth/registration.ts";
import { tokenEndpoint } from "./oauth/token-endpoint.ts";
import { SCRIPT_PATH, STYLE_PATH } from "./pages/respond.tsx";
import { SCRIPT } from "./pages/script.ts";
import { STYLE } from "./pages/style.ts";
import { account } from "./routes/account.tsx";
import { localProof } from "./routes/local-proof.ts";
import { confirm } from "./routes/confirm.tsx";
import { inbox } from "./routes/inbox.tsx";
import { enrol } from "./routes/enrol.tsx";
import { pair } from "./routes/pair.tsx";
import { signInRoutes } from "./routes/sign-in.tsx";

/** Five minutes: a page loads quickly while someone clicks through it, and a new version reaches browsers soon after a deployment. */
const STATIC_CACHE = "public, max-age=300";

/**
 * Requests of one address to the pages and OAuth endpoints, which all ask the one directory of people: no address may keep it busy.
 * A page takes three requests, a sign-in about six, and an office may share an address.
 */
const ANYBODY: Rate = { perSecond: 20, burst: 300 };

/** Addresses of which this isolate keeps a count. */
const ofAddresses = new TokenBuckets(5_000);

/** The built-in authorization server: the OAuth endpoints, and the pages for sign-in, consent, pairing and the account. */
export const signIn = new Hono<{ Bindings: Env }>();

signIn.route("/", localProof);

// Counted in this isolate's memory (admission.ts says why), before anything is looked up. The exact limits come after it.
for (const path of ["/oauth/*", "/sign-in/*", "/claim/*", "/invite/*", "/pair", "/account/*", "/inbox/*", "/api/claim"])
  signIn.use(path, async (c, next) => {
    const nowMs = Date.now();
    const address = addressOf(c.req.raw, c.env);
    const afterMs = ofAddresses.of(address, rateAt(address, ANYBODY), nowMs).take(nowMs);
    return afterMs === 0 ? next() : refuse({ refused: "too_many", of: "address", afterMs }, new URL(c.req.url), c.env);
  });

// With MCPAuthKit none of these routes exist: a second way to get tokens would bypass the people it allows.
for (const path of [
  "/oauth/*",
  "/sign-in/*",
  "/sign-out",
  "/claim/*",
  "/invite/*",
  "/pair",
  "/account/*",
  "/inbox/*",
  "/api/claim",
])
  signIn.use(path, (c, next) => (c.env.AUTHKIT_URL ? Promise.resolve(c.notFound()) : next()));

signIn.get(STYLE_PATH, (c) =>
  c.body(STYLE, 200, { "content-type": "text/css; charset=utf-8", "cache-control": STATIC_CACHE, ...SNIFF }),
);
signIn.get(SCRIPT_PATH, (c) =>
  c.body(SCRIPT, 200, { "content-type": "text/javascript; charset=utf-8", "cache-control": STATIC_CACHE, ...SNIFF }),
);

signIn.all(OAuthPath.TOKEN, (c) => tokenEndpoint(c.req.raw, c.env));
signIn.all(OAuthPath.REGISTER, (c) => registration(c.req.raw, c.env, c.executionCtx as ExecutionContext));
signIn.all(OAuthPath.DEVICE, (c) => deviceEndpoint(c.req.raw, c.env));
signIn.route(OAuthPath.AUTHORIZE, authorize);
signIn.route("/", signInRoutes);
signIn.route("/sign-in/confirm", confirm);
signIn.route("/", enrol);
signIn.route("/pair", pair);
signIn.route("/account", account);
signIn.route("/inbox", inbox);

const SNIFF = { "x-content-type-options": "nosniff" };
