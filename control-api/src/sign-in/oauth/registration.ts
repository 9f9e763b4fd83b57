import { allowOrigin, preflight } from "../../http/cross-origin.ts";
import type { Env } from "../../env.ts";
import { accountsOf } from "../accounts/directory.ts";
import type { Limit } from "../accounts/limits.ts";
import { addressOf, limitAt } from "../address.ts";
import { oauthAnswer, OAuthPath } from "./authorization-server.ts";
import { slowDown } from "./oauth-error.ts";

/** Registrations from one address. Claude.ai registers for all its users from only a few addresses. */
const HERE: Limit = { times: 60, windowMs: 60 * 60_000 };
/** The same for all addresses together: anyone may register without signing in, and each registration is stored. */
const ANYWHERE: Limit = { times: 2_000, windowMs: 24 * 60 * 60_000 };

/** `POST /oauth/register`: dynamic client registration (RFC 7591). */
export async function registration(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
  if (request.method === "OPTIONS") return preflight(request);
  const accounts = accountsOf(env);
  const here = addressOf(request, env);
  const waitMs =
    (await accounts.take(`register:${here}`, limitAt(here, HERE))) || (await accounts.take("register", ANYWHERE));
  if (waitMs > 0) return allowOrigin(request, slowDown(waitMs));
  const own = new Request(`${env.ORIGIN}${OAuthPath.REGISTER}`, request);
  own.headers.delete("origin"); // CORS is answered by `allowOrigin` below, not by the library
  return allowOrigin(request, await oauthAnswer(own, env, ctx));
}
