import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { type AuthorizationServer, registerClient } from "./authorization-server.ts";
import { failed, askForTokens, type Tokens } from "./oauth-request.ts";

/** A person finds their password within this, or starts again. */
const WAIT_MS = 5 * 60_000;

export type SignedIn = { readonly clientId: string; readonly tokens: Tokens };

/**
 * Signs in through a browser on this computer (RFC 8252): it comes back to a port of ours on 127.0.0.1, with a code that
 * only we can redeem (PKCE, S256). `open` shows the address. Throws `CodezFailure`.
 */
export async function signInByBrowser(
  server: AuthorizationServer,
  name: string,
  scope: string,
  open: (url: string) => void,
): Promise<SignedIn> {
  const { metadata, resource } = server;
  const state = randomBytes(32).toString("base64url");
  const verifier = randomBytes(32).toString("base64url");
  await using door = await openDoor(state, metadata.issuer);
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

/** A port on 127.0.0.1 to which the browser brings the code. Anything else that knocks is sent away and changes nothing. */
async function openDoor(state: string, issuer: string): Promise<Door> {
  let resolve: (code: string) => void = () => {};
  let reject: (reason: Error) => void = () => {};
  const code = new Promise<string>((...settle) => {
    [resolve, reject] = settle;
  });
  code.catch(() => undefined); // whoever waits for it hears of it; until then nobody does
  const listener = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://127.0.0.1");
    const isOurs = url.pathname === "/callback" && isSame(url.searchParams.get("state") ?? "", state);
    if (request.method !== "GET" || !isOurs) return answer(response, 404, "There is nothing here.");
    // An answer of another server, passed off as this one's, would have us redeem its code here (RFC 9207).
    const from = url.searchParams.get("iss");
    const error = url.searchParams.get("error");
    const given = url.searchParams.get("code");
    if ((from !== null && from !== issuer) || (error === null && given === null)) {
      answer(response, 400, "That answer is not in order. Nothing was done.");
      return reject(failed(issuer, "the browser brought an answer that is not in order"));
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
  if (address === null || typeof address === "string") throw new Error("a port was asked for and none was given");
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

/** For the last page to arrive. */
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
