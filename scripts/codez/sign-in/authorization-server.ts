import * as z from "zod";
import { operatorFetch } from "../../trust/operator-fetch.ts";
import { failed, postForm } from "./oauth-request.ts";

/** An address that may be opened in a browser: a computer runs programs for those of other schemes (`file:`, `smb:`). */
export const WebAddress = z.url({ protocol: /^https?$/ });

/** The parts that we use of the metadata documents which say where to sign in (RFC 9728, RFC 8414). */
const Resource = z.object({ resource: z.string(), authorization_servers: z.array(WebAddress).min(1) });
const Addresses = z.object({
  issuer: z.string(),
  authorization_endpoint: WebAddress,
  token_endpoint: WebAddress,
  registration_endpoint: WebAddress.optional(),
  revocation_endpoint: WebAddress.optional(),
  device_authorization_endpoint: WebAddress.optional(),
});
export const Metadata = Addresses.extend({
  code_challenge_methods_supported: z.array(z.string()).optional(),
  /** Whether every answer to an authorization request names its issuer (RFC 9207 section 3). */
  authorization_response_iss_parameter_supported: z.boolean().optional(),
});
export type Metadata = z.infer<typeof Metadata>;
const Client = z.object({ client_id: z.string() });

/** The server that signs people in for an Operator: itself, or MCPAuthKit. */
export type AuthorizationServer = { readonly metadata: Metadata; readonly resource: string };

const TIMEOUT_MS = 20_000;

/** Finds the authorization server of the Operator at `hub`. Throws `CodezFailure`. */
export async function findServer(hub: string): Promise<AuthorizationServer> {
  const { resource, authorization_servers: servers } = await read(
    `${hub}/.well-known/oauth-protected-resource/mcp`,
    Resource,
  );
  const issuer = servers[0] ?? hub;
  if (resource !== `${hub}/mcp`) throw failed(hub, `it calls itself ${resource}`);
  refuseClear(hub, issuer);
  const { origin, pathname } = new URL(issuer);
  const path = pathname === "/" ? "" : pathname.replace(/\/$/, "");
  const metadata = await read(`${origin}/.well-known/oauth-authorization-server${path}`, Metadata);
  // A document that names another issuer could send authorization codes there (RFC 8414 section 3.3).
  if (metadata.issuer !== issuer) throw failed(hub, `${issuer} calls itself ${metadata.issuer}`);
  for (const address of Object.values(Addresses.parse(metadata))) refuseClear(hub, address ?? issuer);
  return { metadata, resource };
}

/** An Operator with TLS must not lead to what has none, such as a router or another program on this computer. */
function refuseClear(hub: string, address: string): void {
  if (hub.startsWith("https:") && !address.startsWith("https:"))
    throw failed(hub, `it names an address without TLS, ${address}`);
}

/** Registers this program as a client, with one redirect URI (RFC 7591). */
export async function registerClient(
  { metadata }: AuthorizationServer,
  name: string,
  redirectUri: string,
): Promise<string> {
  if (metadata.registration_endpoint === undefined)
    throw failed(metadata.issuer, "it does not support client registration");
  const response = await operatorFetch(metadata.registration_endpoint, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      client_name: name,
      redirect_uris: [redirectUri],
      // Without it a server may take this for a website, whose addresses must not lead to the computer that it runs on.
      application_type: "native",
      token_endpoint_auth_method: "none",
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
    }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const client = Client.safeParse(await response.json().catch(() => null));
  if (!response.ok || !client.success)
    throw failed(metadata.issuer, `it refused to register this program (HTTP ${response.status})`);
  return client.data.client_id;
}

/** Revokes a token that is no longer needed. */
export async function revoke({ metadata }: AuthorizationServer, clientId: string, token: string): Promise<void> {
  if (metadata.revocation_endpoint === undefined) return;
  await postForm(metadata.revocation_endpoint, { token, client_id: clientId });
}

async function read<Schema extends z.ZodType>(url: string, schema: Schema): Promise<z.infer<Schema>> {
  const response = await operatorFetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  const parsed = schema.safeParse(await response.json().catch(() => null));
  if (!response.ok || !parsed.success)
    throw failed(new URL(url).origin, `${url} is not a valid metadata document (HTTP ${response.status})`);
  return parsed.data;
}
