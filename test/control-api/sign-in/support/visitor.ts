import { runInDurableObject } from "cloudflare:test";
import type { Env } from "../../../../control-api/src/env.ts";
import type { Accounts } from "../../../../control-api/src/sign-in/accounts/accounts.ts";
import { Invites } from "../../../../control-api/src/sign-in/accounts/invites.ts";
import { randomSecret } from "#protocol/bytes.ts";
import { env, knock, ORIGIN } from "../../support/operator.ts";

/** The claim code of the Operator under test (vitest.config.ts). */
export const CLAIM_CODE = "CLAIM-CLAIM-CLAIM-CLAIM";

/** Fulfils the rules for a password. */
export const PASSWORD = "correct horse battery";

export const CALLBACK = "https://client.test/callback";

/** Asks an Operator at which everybody has to sign in; from an address of its own, which no limit knows yet. */
export function ask(
  path: string,
  init: RequestInit = {},
  origin = ORIGIN,
  overrides: Partial<Env> = {},
): Promise<Response> {
  const headers = new Headers(init.headers);
  if (!headers.has("cf-connecting-ip")) headers.set("cf-connecting-ip", crypto.randomUUID());
  return knock(`${origin}${path}`, { redirect: "manual", ...init, headers }, { LOOPBACK_OWNER: "", ...overrides });
}

export function bearer(accessToken: string): { headers: { authorization: string } } {
  return { headers: { authorization: `Bearer ${accessToken}` } };
}

/** The directory itself, for what a test needs to be there before it begins. */
export function directory(): DurableObjectStub<Accounts> {
  return env.ACCOUNTS.getByName("accounts");
}

/** The code of an invitation. */
export function invitation(): Promise<string> {
  return runInDurableObject(directory(), async (_, { storage }) => {
    const made = await new Invites(storage.sql).create(Date.now(), () => true);
    return made?.code ?? "";
  });
}

/** A browser with its cookies, at one origin. */
export class Visitor {
  readonly origin: string;
  readonly cookies = new Map<string, string>();

  constructor(origin = ORIGIN) {
    this.origin = origin;
  }

  /** Someone with an account of their own, signed in. */
  static async invited(name = `person-${crypto.randomUUID()}`): Promise<Visitor & { name: string }> {
    const visitor = new Visitor();
    const code = await invitation();
    const response = await visitor.post("/invite", { code, name, password: PASSWORD });
    if (response.status !== 303) throw new Error(`not enrolled: ${await response.text()}`);
    return Object.assign(visitor, { name });
  }

  async get(path: string): Promise<Response> {
    const headers = { accept: "text/html", ...this.#headers() };
    return this.#keep(await ask(path, { headers }, this.origin));
  }

  /** Sends a form as one of our own pages would. */
  async post(
    path: string,
    form: Record<string, string> | FormData,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const body = new Response(form instanceof FormData ? form : new URLSearchParams(form));
    const bytes = await body.arrayBuffer();
    // As browsers do, it states the form's length.
    const own = { "content-type": body.headers.get("content-type") ?? "", "content-length": String(bytes.byteLength) };
    const all = { ...this.#headers(), ...own, "sec-fetch-site": "same-origin", ...headers };
    return this.#keep(await ask(path, { method: "POST", body: bytes, headers: all }, this.origin));
  }

  /** Sends JSON as a script of our own pages would. */
  async postJson(path: string, value: object, headers: Record<string, string> = {}): Promise<Response> {
    const own = { "content-type": "application/json", "sec-fetch-site": "same-origin", accept: "*/*" };
    const init = { method: "POST", body: JSON.stringify(value), headers: { ...this.#headers(), ...own, ...headers } };
    return this.#keep(await ask(path, init, this.origin));
  }

  /** The hidden field that a page's forms carry. */
  async csrf(path: string): Promise<string> {
    return csrfIn(await (await this.get(path)).text());
  }

  /** The hidden fields that a page's forms carry, if it shows one machine: the session's token, and which machine it is. */
  async fields(path: string): Promise<{ csrf: string; machine: string }> {
    const page = await (await this.get(path)).text();
    return { csrf: csrfIn(page), machine: hiddenMachineIn(page) ?? "" };
  }

  #headers(): Record<string, string> {
    const cookie = Array.from(this.cookies, ([name, value]) => `${name}=${value}`).join("; ");
    return cookie === "" ? {} : { cookie };
  }

  #keep(response: Response): Response {
    for (const line of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === "") this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return response;
  }
}

export function csrfIn(page: string): string {
  return /name="csrf" value="([^"]+)"/.exec(page)?.[1] ?? "";
}

function hiddenMachineIn(page: string): string | undefined {
  return /type="hidden" name="machine" value="([^"]+)"/.exec(page)?.[1];
}

/** The value with which a page offers this machine. A name that it does not offer stays as it is. */
export function offeredIn(page: string, name: string): string {
  return new RegExp(`value="(${name}:[0-9a-f]{32})"`).exec(page)?.[1] ?? name;
}

export type Tokens = {
  access_token: string;
  refresh_token: string;
  expires_in: number;
  scope: string;
  resource: string;
  error?: string;
};

const VERIFIER = randomSecret();
const CHALLENGE = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(VERIFIER)).then(base64Url);

function base64Url(digest: ArrayBuffer): string {
  const base64 = btoa(String.fromCodePoint(...new Uint8Array(digest)));
  return base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** An MCP client that registered itself. */
export class Client {
  static readonly verifier = VERIFIER;
  readonly id: string;
  readonly redirectUri: string;

  constructor(id: string, redirectUri: string) {
    this.id = id;
    this.redirectUri = redirectUri;
  }

  static async registered(more: object = {}, redirectUri = CALLBACK): Promise<Client> {
    const response = await register({ client_name: "A client", redirect_uris: [redirectUri], ...more });
    if (response.status !== 201) throw new Error(`not registered: ${await response.text()}`);
    const { client_id: id }: { client_id: string } = await response.json();
    return new Client(id, redirectUri);
  }

  /** The address at which a person is asked. */
  authorizePath(more: Record<string, string | undefined> = {}): string {
    const query = {
      response_type: "code",
      client_id: this.id,
      redirect_uri: this.redirectUri,
      scope: "mcp:tools",
      state: "the-state",
      code_challenge: CHALLENGE,
      code_challenge_method: "S256",
      resource: `${ORIGIN}/mcp`,
      ...more,
    };
    const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
    return `/oauth/authorize?${new URLSearchParams(given)}`;
  }

  /** The person says yes; answers where the browser is sent. */
  async consent(visitor: Visitor, more: Record<string, string> = {}, form: Record<string, string> = {}): Promise<URL> {
    const path = this.authorizePath(more);
    const page = await (await visitor.get(path)).text();
    const only = hiddenMachineIn(page);
    const machine = form["machine"] === undefined ? only : offeredIn(page, form["machine"]);
    const fields = { csrf: csrfIn(page), decision: "allow", ...form, ...(machine === undefined ? {} : { machine }) };
    const response = await visitor.post(path, fields);
    const location = response.headers.get("location");
    if (response.status !== 303 || location === null) throw new Error(`no consent: ${response.status}`);
    return new URL(location);
  }

  async redeem(code: string, more: Record<string, string> = {}): Promise<Response> {
    return token({
      grant_type: "authorization_code",
      code,
      client_id: this.id,
      redirect_uri: this.redirectUri,
      code_verifier: VERIFIER,
      ...more,
    });
  }

  /** The whole way, from the question to the tokens. */
  async signIn(
    visitor: Visitor,
    more: Record<string, string> = {},
    form: Record<string, string> = {},
  ): Promise<Tokens> {
    const answer = await this.consent(visitor, more, form);
    const response = await this.redeem(answer.searchParams.get("code") ?? "");
    if (response.status !== 200) throw new Error(`no tokens: ${await response.text()}`);
    return response.json();
  }

  refresh(refreshToken: string, more: Record<string, string> = {}): Promise<Response> {
    return token({ grant_type: "refresh_token", refresh_token: refreshToken, client_id: this.id, ...more });
  }
}

export function register(metadata: object): Promise<Response> {
  const body = JSON.stringify({ token_endpoint_auth_method: "none", ...metadata });
  return ask("/oauth/register", { method: "POST", headers: { "content-type": "application/json" }, body });
}

export function token(form: Record<string, string>, overrides: Partial<Env> = {}): Promise<Response> {
  return ask("/oauth/token", { method: "POST", body: new URLSearchParams(form) }, ORIGIN, overrides);
}

/** Where the app would hear of its request that is not valid, if its person follows the link on the page. */
export async function backIn(response: Response): Promise<URL> {
  const [, href = ""] = /<a class="button plain" href="([^"]+)"/.exec(await response.text()) ?? [];
  if (response.status !== 400 || response.headers.has("location") || href === "") throw new Error("no such page");
  return new URL(href.replaceAll("&amp;", "&"));
}

/** The OAuth error in an answer. */
export async function errorOf(response: Response): Promise<string | undefined> {
  const { error }: { error?: string } = await response.json();
  return error;
}

/** The answer of one of our endpoints to a token. */
export async function statusWith(accessToken: string, path = "/api/machines", origin = ORIGIN): Promise<number> {
  const response = await ask(path, bearer(accessToken), origin);
  await response.body?.cancel();
  return response.status;
}
