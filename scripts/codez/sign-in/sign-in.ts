import { hostname } from "node:os";
import { printableLines } from "../../system/printable.ts";
import { type AuthorizationServer, findServer, revoke } from "./authorization-server.ts";
import { hasBrowser, openBrowser } from "./browser.ts";
import { signInByBrowser, type SignedIn } from "./browser-flow.ts";
import { signInByDevice } from "./device-flow.ts";
import { failed } from "./oauth-request.ts";

/** `operator:admin` to register machines, `mcp:tools` to check at `/mcp` that they are online. */
const SCOPE = "operator:admin mcp:tools";

type Entered = { readonly server: AuthorizationServer; readonly signedIn: SignedIn };

/** This process's sign-ins, in memory only. They are revoked when it ends. */
const entered = new Map<string, Entered>();

/**
 * Signs the person in at `hub`, at most once per process: through a browser if this computer has one, else with a code that is
 * approved on a phone. Throws `CodezFailure`.
 */
export async function signIn(hub: string): Promise<string> {
  const known = entered.get(hub);
  if (known !== undefined) return known.signedIn.tokens.access_token;
  if (process.env["CI"]) throw failed(hub, "nobody can sign in here, because CI is set");
  const server = await findServer(hub).catch((reason: unknown) => {
    throw reason instanceof TypeError ? failed(hub, reason.message, reason) : reason;
  });
  const name = `codez on ${hostname()}`;
  const isHere = hasBrowser(process.env, process.platform, process.stderr.isTTY);
  const canPair = server.metadata.device_authorization_endpoint !== undefined;
  const signedIn =
    isHere || !canPair
      ? await signInByBrowser(server, name, SCOPE, (url) => {
          say(`Sign in at ${hub} in your browser. If none opens, go to:\n  ${url}`);
          if (isHere) openBrowser(url, process.env, process.platform);
        })
      : await signInByDevice(server, name, SCOPE, (code) => {
          const minutes = Math.round(code.expires_in / 60);
          say(
            `Sign in at ${hub}: on your phone or any computer, open\n  ${code.verification_uri}\nand enter the code\n  ${code.user_code}\nThe code is valid for ${minutes} minutes.`,
          );
        });
  entered.set(hub, { server, signedIn });
  return signedIn.tokens.access_token;
}

/** Revokes this process's tokens, so that nothing of them is left on this machine or at the server. */
export async function endSignIns(): Promise<void> {
  const all = [...entered.values()];
  entered.clear();
  for (const { server, signedIn } of all) {
    const { refresh_token: grant, access_token: token } = signedIn.tokens;
    await revoke(server, signedIn.clientId, grant ?? token).catch((reason: unknown) =>
      say(`The sign-in could not be revoked (${String(reason)}). Revoke it at ${server.metadata.issuer}/account.`),
    );
  }
}

/** Standard output is for results. */
function say(text: string): void {
  process.stderr.write(`${printableLines(text)}\n`);
}
