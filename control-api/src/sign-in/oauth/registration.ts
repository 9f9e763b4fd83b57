import { allowOrigin, preflight } from "../../http/cross-origin.ts";
import type { Env } from "../../env.ts";
import { accountsOf } from "../accounts/directory.ts";
import type { Limit } from "../accounts/limits.ts";
import { addressOf } from "../address.ts";
import { oauthAnswer, OAuthPath } from "./authorization-server.ts";
import { oauthError, slowDown } from "./oauth-error.ts";
import { redirectRefusal } from "./redirect-uri.ts";
import { Store } from "./store/store.ts";

/** Registrations from one address. Claude.ai registers for all its users from only a few addresses. */
const HERE: Limit = { times: 60, windowMs: 60 * 60_000 };

/** The longest registration. The largest known ones have about 2 KB; a client's keys and logos are addresses, not contents. */
const MAX_REGISTRATION_BYTES = 16 * 1024;

/** `POST /oauth/register`: dynamic client registration (RFC 7591). */
export async function registration(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
  if (request.method === "OPTIONS") return preflight(request);
  const accounts = accountsOf(env);
  const here = addressOf(request, env);
  const waitMs = await accounts.takeFrom("register", here, HERE);
  if (waitMs > 0) return allowOrigin(request, slowDown(waitMs));
  const body = await request.arrayBuffer(); // the gate has read it already (http/body-within.ts)
  if (body.byteLength > MAX_REGISTRATION_BYTES)
    return allowOrigin(request, oauthError("invalid_client_metadata", "Send at most 16 KiB."));
  // Before the library, which has no code of its own for these (RFC 7591 section 3.2.2).
  const refusal = refusalOfRedirects(body);
  if (refusal !== null) return allowOrigin(request, oauthError("invalid_redirect_uri", refusal));
  const headers = new Headers(request.headers);
  headers.delete("origin"); // CORS is answered by `allowOrigin` below, not by the library
  const init = { method: request.method, headers, ...(request.body === null ? {} : { body }) };
  const own = new Request(`${env.ORIGIN}${OAuthPath.REGISTER}`, init);
  const registered = await oauthAnswer(own, env, ctx);
  if (registered.status === 201) await note(await registered.clone().json(), here, env);
  return allowOrigin(request, registered);
}

/** Why one of the redirect URIs in a registration is refused; `null` if none is, or for the library to say what else is wrong. */
function refusalOfRedirects(body: ArrayBuffer): string | null {
  let asked: unknown;
  try {
    asked = JSON.parse(new TextDecoder().decode(body));
  } catch {
    return null; // it is not JSON, which the library says
  }
  const { redirect_uris: uris } = (asked ?? {}) as { redirect_uris?: unknown };
  for (const uri of Array.isArray(uris) ? uris : []) {
    const refusal = typeof uri === "string" ? redirectRefusal(uri) : null;
    if (refusal !== null) return refusal;
  }
  return null;
}

/** Anyone may register without signing in, so only a bounded number of clients is kept that nobody has allowed anything. */
async function note({ client_id: client }: { client_id: string }, address: string, env: Env): Promise<void> {
  const dropped: string[] = await accountsOf(env).addClient(client, address);
  const store = new Store(env);
  await Promise.all(dropped.map((one) => store.delete(`client:${one}`)));
}
