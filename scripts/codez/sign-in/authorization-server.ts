import * as z from "zod";
import { failed, postForm } from "./oauth-request.ts";

/** What is read of the documents that say where to sign in (RFC 9728, RFC 8414). */
const Resource = z.object({ resource: z.string(), authorization_servers: z.array(z.url()).min(1) });
const Metadata = z.object({
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

/** Finds out where `hub` has people sign in. Throws `CodezFailure`. */
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
  // A document that speaks for another server could send codes there (RFC 8414 section 3.3).
  if (metadata.issuer !== issuer) throw failed(hub, `${issuer} calls itself ${metadata.issuer}`);
  return { metadata, resource };
}

/** Makes this program known to the server, with one address to come back to. */
export async function registerClient(
  { metadata }: AuthorizationServer,
  name: string,
  redirectUri: string,
): Promise<string> {
  if (metadata.registration_endpoint === undefined) throw failed(metadata.issuer, "it takes no new programs");
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
    throw failed(metadata.issuer, `it did not take this program (HTTP ${response.status})`);
  return client.data.client_id;
}

/** Takes a token back when it is needed no more. */
export async function revoke({ metadata }: AuthorizationServer, clientId: string, token: string): Promise<void> {
  if (metadata.revocation_endpoint === undefined) return;
  await postForm(metadata.revocation_endpoint, { token, client_id: clientId });
}

async function read<Schema extends z.ZodType>(url: string, schema: Schema): Promise<z.infer<Schema>> {
  const response = await fetch(url, { redirect: "error", signal: AbortSignal.timeout(TIMEOUT_MS) });
  const parsed = schema.safeParse(await response.json().catch(() => null));
  if (!response.ok || !parsed.success)
    throw failed(new URL(url).origin, `${url} is not in order (HTTP ${response.status})`);
  return parsed.data;
}
