import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { type AuthorizationServer, type Metadata, registerClient } from "./authorization-server.ts";
import { failed, askForTokens, type Tokens } from "./oauth-request.ts";

/** How long to wait for the person to sign in. */
const WAIT_MS = 5 * 60_000;

export type SignedIn = { readonly clientId: string; readonly tokens: Tokens };

/**
 * Signs in through a browser on this computer (RFC 8252). The browser is redirected to a port of this process on 127.0.0.1, with
 * a code that only this process can redeem (PKCE, S256), which a server must say that it checks (MCP authorization, "Authorization Code
 * Protection"). `open` opens the address. Throws `CodezFailure`.
 */
export async function signInByBrowser(
  server: AuthorizationServer,
  name: string,
  scope: string,
  open: (url: string) => void,
): Promise<SignedIn> {
  const { metadata, resource } = server;
  if (metadata.code_challenge_methods_supported?.includes("S256") !== true)
    throw failed(metadata.issuer, "it does not support PKCE, without which others could use the browser's answer");
  const state = randomBytes(32).toString("base64url");
  const verifier = randomBytes(32).toString("base64url");
  await using door = await openDoor(state, metadata);
  const clientId = await registerClient(server, name, door.redirectUri);
  const url = new URL(metadata.authorization_endpoint);
  const query = {
    response_type: "code",
    client_id: clientId,
    redirect_uri: door.redirectUri,
    scope,
    state,
    resource,
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
  };
  for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
  open(url.href);
  const code = await door.code;
  const tokens = await askForTokens(metadata.token_endpoint, {
    grant_type: "authorization_code",
    code,
    client_id: clientId,
    redirect_uri: door.redirectUri,
    code_verifier: verifier,
    resource,
  });
  if ("error" in tokens) throw failed(metadata.issuer, tokens.error_description ?? tokens.error);
  return { clientId, tokens };
}

type Door = AsyncDisposable & { readonly redirectUri: string; readonly code: Promise<string> };

const DOOR = "http://127.0.0.1";

/** Opens a port on 127.0.0.1 to which the browser brings the code. Any other request is refused and changes nothing. */
async function openDoor(state: string, metadata: Metadata): Promise<Door> {
  const { issuer, authorization_response_iss_parameter_supported: namesIssuer = false } = metadata;
  let resolve: (code: string) => void = () => {};
  let reject: (reason: Error) => void = () => {};
  const code = new Promise<string>((...settle) => {
    [resolve, reject] = settle;
  });
  code.catch(() => undefined); // the caller awaits it later; without this a rejection before then would be unhandled
  const listener = createServer((request, response) => {
    // Any page and program may ask here, also for what is no address (`GET //`).
    const url = URL.canParse(request.url ?? "", DOOR) ? new URL(request.url ?? "", DOOR) : null;
    const isOurs = url?.pathname === "/callback" && isSame(url.searchParams.get("state") ?? "", state);
    if (url === null || request.method !== "GET" || !isOurs) return answer(response, 404, "Not found.");
    // A response that another server issued must not be redeemed here: mix-up attack. Whose server names itself in all of them must have done so
    // in this one (RFC 9207 section 2.4).
    const from = url.searchParams.get("iss");
    const isTheirs = from === null ? !namesIssuer : from === issuer;
    const error = url.searchParams.get("error");
    const given = url.searchParams.get("code");
    if (!isTheirs || (error === null && given === null)) {
      answer(response, 400, "This sign-in response is not valid. Nothing was done.");
      return reject(failed(issuer, "the browser returned an invalid response"));
    }
    if (given === null || error !== null) {
      answer(response, 200, "Not signed in. You can close this page.");
      return reject(failed(issuer, url.searchParams.get("error_description") ?? error ?? "it was refused"));
    }
    answer(response, 200, "Signed in. You can close this page and go back to the terminal.");
    resolve(given);
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const address = listener.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has an address with a port");
  const timer = setTimeout(() => reject(failed(issuer, "nobody signed in within five minutes")), WAIT_MS);
  return {
    redirectUri: `http://127.0.0.1:${address.port}/callback`,
    code,
    [Symbol.asyncDispose]: async () => {
      clearTimeout(timer);
      listener.close();
      listener.closeIdleConnections();
      setTimeout(() => listener.closeAllConnections(), CLOSE_MS).unref();
      await once(listener, "close");
    },
  };
}

/** Time for the last page to reach the browser. */
const CLOSE_MS = 500;

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    connection: "close",
  });
  response.end(
    `<!doctype html><meta name="viewport" content="width=device-width"><title>codez</title><p>${text}</p>\n`,
  );
}

function isSame(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)];
  return left.length === right.length && timingSafeEqual(left, right);
}
