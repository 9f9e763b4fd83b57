import * as z from "zod";
import { failed, postForm } from "./oauth-request.ts";

/** The parts that we use of the metadata documents which say where to sign in (RFC 9728, RFC 8414). */
const Resource = z.object({ resource: z.string(), authorization_servers: z.array(z.url()).min(1) });
export const Metadata = z.object({
  issuer: z.string(),
  authorization_endpoint: z.url(),
  token_endpoint: z.url(),
  registration_endpoint: z.url().optional(),
  revocation_endpoint: z.url().optional(),
  device_authorization_endpoint: z.url().optional(),
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
  const { origin, pathname } = new URL(issuer);
  const path = pathname === "/" ? "" : pathname.replace(/\/$/, "");
  const metadata = await read(`${origin}/.well-known/oauth-authorization-server${path}`, Metadata);
  // A document that names another issuer could send authorization codes there (RFC 8414 section 3.3).
  if (metadata.issuer !== issuer) throw failed(hub, `${issuer} calls itself ${metadata.issuer}`);
  return { metadata, resource };
}

/** Registers this program as a client, with one redirect URI (RFC 7591). */
export async function registerClient(
  { metadata }: AuthorizationServer,
  name: string,
  redirectUri: string,
): Promise<string> {
  if (metadata.registration_endpoint === undefined)
    throw failed(metadata.issuer, "it does not support client registration");
  const response = await fetch(metadata.registration_endpoint, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      client_name: name,
      redirect_uris: [redirectUri],
      token_endpoint_auth_method: "none",
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
    }),
    redirect: "error",
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
  const response = await fetch(url, { redirect: "error", signal: AbortSignal.timeout(TIMEOUT_MS) });
  const parsed = schema.safeParse(await response.json().catch(() => null));
  if (!response.ok || !parsed.success)
    throw failed(new URL(url).origin, `${url} is not a valid metadata document (HTTP ${response.status})`);
  return parsed.data;
}
