import { Hono } from "hono";
import type { Env } from "../env.ts";
import { builtInOnly, perAddress } from "./browser-gate.ts";
import { authorize } from "./oauth/authorize.tsx";
import { OAuthPath } from "./oauth/authorization-server.ts";
import { deviceEndpoint } from "./oauth/device-endpoint.ts";
import { registration } from "./oauth/registration.ts";
import { tokenEndpoint } from "./oauth/token-endpoint.ts";
import { account } from "./routes/account.tsx";
import { localProof } from "./routes/local-proof.ts";
import { confirm } from "./routes/confirm.tsx";
import { enrol } from "./routes/enrol.tsx";
import { pair } from "./routes/pair.tsx";
import { signInRoutes } from "./routes/sign-in.tsx";

/** The built-in authorization server: the OAuth endpoints, and the pages for sign-in, consent, pairing and the account. */
export const signIn = new Hono<{ Bindings: Env }>();

signIn.route("/", localProof);

const PATHS = ["/oauth/*", "/sign-in/*", "/sign-out", "/claim/*", "/invite/*", "/pair", "/account/*", "/api/claim"];
for (const path of PATHS) signIn.use(path, perAddress, builtInOnly);

signIn.all(OAuthPath.TOKEN, (c) => tokenEndpoint(c.req.raw, c.env));
signIn.all(OAuthPath.REGISTER, (c) => registration(c.req.raw, c.env, c.executionCtx as ExecutionContext));
signIn.all(OAuthPath.DEVICE, (c) => deviceEndpoint(c.req.raw, c.env));
signIn.route(OAuthPath.AUTHORIZE, authorize);
signIn.route("/", signInRoutes);
signIn.route("/sign-in/confirm", confirm);
signIn.route("/", enrol);
signIn.route("/pair", pair);
signIn.route("/account", account);
