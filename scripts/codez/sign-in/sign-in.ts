import { hostname } from "node:os";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";
import { type AuthorizationServer, findServer, revoke } from "./authorization-server.ts";
import { hasBrowser, openBrowser } from "./browser.ts";
import { signInByBrowser, type SignedIn } from "./browser-flow.ts";
import { signInByDevice } from "./device-flow.ts";
import { forgetSignIn, keepSignIn, readSignIn } from "./kept-sign-in.ts";
import { failed } from "./oauth-request.ts";
import { showsQr, terminalQr } from "./terminal-qr.ts";
import { tell } from "../../print.ts";

/** `operator:admin` to register machines, `mcp:tools` to check at `/mcp` that they are online. */
const SCOPE = "operator:admin mcp:tools";

/** What a command does with a token: only look at machines, change something, or something that requires a person. */
export type Need = "read" | "admin" | "person";

/** What `codez login` keeps unless it is told to keep everything. */
const READ_SCOPE = "operator:read";

type Entered = { readonly server: AuthorizationServer; readonly signedIn: SignedIn };

/** This process's sign-ins, in memory only. They are revoked when it ends. */
const entered = new Map<string, Entered>();

/** Signs the person in at `hub`, at most once per process. The sign-in ends with the process. Throws `CodezFailure`. */
export async function signIn(hub: string, need: Need): Promise<string> {
  const known = entered.get(hub);
  if (known !== undefined) return known.signedIn.tokens.access_token;
  const now = await enter(hub, SCOPE, need);
  entered.set(hub, now);
  return now.signedIn.tokens.access_token;
}

/** Signs the person in at `hub` and keeps the sign-in on this computer. Returns its scope. Throws `CodezFailure`. */
export async function enterToStay(hub: string, isAdmin: boolean): Promise<string> {
  const scope = isAdmin ? `${READ_SCOPE} ${SCOPE}` : READ_SCOPE;
  const { server, signedIn } = await enter(hub, scope, "person");
  await leave(hub); // the one that was kept before
  keepSignIn(hub, scope, server, signedIn);
  return scope;
}

/** Revokes the sign-in that is kept for `hub`, and forgets it. Returns whether there was one. */
export async function leave(hub: string): Promise<boolean> {
  const kept = readSignIn(hub);
  if (kept === null) return false;
  await giveBack(kept.server, { clientId: kept.clientId, tokens: kept.tokens });
  forgetSignIn(hub);
  return true;
}

/** Signs in through a browser if this computer has one, else with a code that is approved on a phone. Throws `CodezFailure`. */
async function enter(hub: string, scope: string, need: Need): Promise<Entered> {
  if (!canAsk()) throw nobodyHere(hub, need);
  const server = await findServer(hub).catch((reason: unknown) => {
    throw reason instanceof TypeError ? failed(hub, reason.message, reason) : reason;
  });
  const name = `codez on ${hostname()}`;
  const isHere = hasBrowser(process.env, process.platform, process.stderr.isTTY);
  const canPair = server.metadata.device_authorization_endpoint !== undefined;
  const signedIn =
    isHere || !canPair
      ? await signInByBrowser(server, name, scope, (url) => {
          tell([`Sign in at ${hub} in your browser. If none opens, go to:`, `  ${url}`]);
          if (isHere) openBrowser(url, process.env, process.platform);
        })
      : await signInByDevice(server, name, scope, (code) => {
          const minutes = Math.round(code.expires_in / 60);
          const link = code.verification_uri_complete;
          const { isTTY, columns } = process.stderr;
          const qr = link !== undefined && showsQr(isTTY, process.env) ? terminalQr(link, columns) : null;
          // It is ours alone, made of the link's bits, so its colours need no escape.
          if (qr !== null) process.stderr.write(`${qr}\n`);
          tell([
            `Sign in at ${hub}: ${qr === null ? "" : "scan this with a phone, or "}on your phone or any computer, open`,
            `  ${code.verification_uri}`,
            "and enter the code",
            `  ${code.user_code}`,
            `The code is valid for ${minutes} minutes.`,
          ]);
        });
  return { server, signedIn };
}

/**
 * Whether a person may be there to sign in: somebody reads the terminal, or `CODEZ_SIGN_IN` says that somebody reads the output.
 * A script must not wait for a person who never comes.
 */
function canAsk(): boolean {
  if (process.env["CI"]) return false;
  return process.stderr.isTTY || Boolean(process.env["CODEZ_SIGN_IN"]);
}

function nobodyHere(hub: string, need: Need): CodezFailure {
  const fix = `${inTerminal(hub, need)} In a script: set CODEZ_HUB_TOKEN to a personal access token, or CODEZ_SIGN_IN=device to wait until somebody approves a code.`;
  return new CodezFailure(
    ExitCode.NOT_SIGNED_IN,
    `Operator at ${hub} asks who you are, and there is no terminal in which somebody could sign in.`,
    fix,
  );
}

/** What helps a person at a terminal. A sign-in that may only look, as `codez login` keeps it, is no help for a command that changes something. */
function inTerminal(hub: string, need: Need): string {
  switch (need) {
    case "read":
      return `In a terminal: codez login --hub ${hub}.`;
    case "admin":
      return `Run this in a terminal, or there once: codez login --admin --hub ${hub}.`;
    case "person":
      return "Run this in a terminal: it asks a person each time.";
  }
}

/** Revokes this process's tokens, so that nothing of them is left on this machine or at the server. */
export async function endSignIns(): Promise<void> {
  const all = [...entered.values()];
  entered.clear();
  for (const { server, signedIn } of all) await giveBack(server, signedIn);
}

async function giveBack(server: AuthorizationServer, { clientId, tokens }: SignedIn): Promise<void> {
  await revoke(server, clientId, tokens.refresh_token ?? tokens.access_token).catch((reason: unknown) =>
    tell(`The sign-in could not be revoked (${String(reason)}). Revoke it at ${server.metadata.issuer}/account.`),
  );
}
