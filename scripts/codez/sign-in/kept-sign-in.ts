import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { parseJson } from "#protocol/json.ts";
import { writePrivately } from "../../system/atomic-file.ts";
import { codezHome } from "../../system/home.ts";
import { NotTrusted, readTrustedFile } from "../../system/trusted-file.ts";
import { type AuthorizationServer, Metadata } from "./authorization-server.ts";
import type { SignedIn } from "./browser-flow.ts";
import { askForTokens, Tokens } from "./oauth-request.ts";

/** An access token that ends this soon is renewed first, so that it does not end on its way. */
const RENEW_BEFORE_MS = 60_000;

/** Used when a server does not say how long its access token lasts: it is then renewed for each command. */
const UNKNOWN_LIFETIME_MS = 0;

/** What `codez login` keeps: enough to get access tokens, and to give the sign-in back. */
const KeptSignIn = z.object({
  hub: z.url(),
  scope: z.string(),
  server: z.object({ metadata: Metadata, resource: z.string() }),
  clientId: z.string(),
  tokens: Tokens,
  /** When the access token ends, in milliseconds since 1970. */
  expiresMs: z.number(),
});
type KeptSignIn = z.infer<typeof KeptSignIn>;

/** The folder of the sign-ins that `codez login` keeps: one file per Operator, which only its owner can read. */
function signInFolder(): string {
  return join(codezHome(), "sign-ins");
}

/** The sign-in kept for this Operator; `null` when there is none. */
export function readSignIn(hub: string): KeptSignIn | null {
  const kept = read(pathOf(hub));
  return kept?.hub === hub ? kept : null;
}

/**
 * The sign-in in a file. One that is damaged counts as none, and so does one that somebody else could have written: with theirs, this computer
 * would become a machine of theirs.
 */
function read(path: string): KeptSignIn | null {
  try {
    return KeptSignIn.safeParse(parseJson(readTrustedFile(path) ?? "")).data ?? null;
  } catch (reason) {
    if (reason instanceof NotTrusted) return null;
    throw reason;
  }
}

/** The Operators for which a sign-in is kept. */
export function keptHubs(): string[] {
  const folder = signInFolder();
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((file) => read(join(folder, file))?.hub ?? []);
}

export function keepSignIn(hub: string, scope: string, server: AuthorizationServer, signedIn: SignedIn): void {
  const { clientId, tokens } = signedIn;
  write({ hub, scope, server, clientId, tokens, expiresMs: endOf(tokens) });
}

export function forgetSignIn(hub: string): void {
  rmSync(pathOf(hub), { force: true });
}

/**
 * An access token of the kept sign-in that has `scope`, renewed if necessary; `null` when there is none, or its owner has ended
 * it at Operator. Rejects when the server cannot be reached.
 */
export async function keptToken(hub: string, scope: string): Promise<string | null> {
  const kept = readSignIn(hub);
  if (kept === null || !kept.scope.split(" ").includes(scope)) return null;
  if (kept.expiresMs - Date.now() > RENEW_BEFORE_MS) return kept.tokens.access_token;
  if (kept.tokens.refresh_token === undefined) return null;
  const renewed = await askForTokens(kept.server.metadata.token_endpoint, {
    grant_type: "refresh_token",
    refresh_token: kept.tokens.refresh_token,
    client_id: kept.clientId,
    resource: kept.server.resource,
  });
  if ("error" in renewed) {
    if (renewed.error === "invalid_grant") forgetSignIn(hub);
    return null;
  }
  // A server that does not replace the refresh token leaves it out (RFC 6749 section 6).
  write({ ...kept, tokens: { ...kept.tokens, ...renewed }, expiresMs: endOf(renewed) });
  return renewed.access_token;
}

function endOf({ expires_in: seconds }: Tokens): number {
  return Date.now() + (seconds === undefined ? UNKNOWN_LIFETIME_MS : seconds * 1000);
}

function write(kept: KeptSignIn): void {
  writePrivately(pathOf(kept.hub), `${JSON.stringify(kept, null, 2)}\n`);
}

/** One file per host and port. A colon is not allowed in file names everywhere. */
function pathOf(hub: string): string {
  return join(signInFolder(), `${new URL(hub).host.replaceAll(":", "-")}.json`);
}
