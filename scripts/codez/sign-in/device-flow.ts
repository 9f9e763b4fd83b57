import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { type AuthorizationServer, registerClient, WebAddress } from "./authorization-server.ts";
import type { SignedIn } from "./browser-flow.ts";
import { askForTokens, failed, postForm } from "./oauth-request.ts";

/** Within these a code may be valid, and be asked about. Longer ones are no timer's, and shorter ones would keep a computer busy. Seconds. */
const MAX_VALID_S = 3_600;
const [MIN_INTERVAL_S, MAX_INTERVAL_S] = [0.1, 60];

const DeviceCode = z.object({
  device_code: z.string(),
  user_code: z.string(),
  verification_uri: WebAddress,
  verification_uri_complete: WebAddress.optional(),
  expires_in: z.number().positive().max(MAX_VALID_S),
  interval: z.number().min(MIN_INTERVAL_S).max(MAX_INTERVAL_S).default(5),
});
export type DeviceCode = z.infer<typeof DeviceCode>;

/** Added to the polling interval at each `slow_down` (RFC 8628 section 3.5). */
const SLOWER_MS = 5_000;

/** The device flow redirects nowhere, but registration requires a redirect URI. This one leads only to this computer. */
const REDIRECT_URI = "http://127.0.0.1/callback";

/** Signs in with a code that a person approves on another device (RFC 8628). `show` displays the code. Throws `CodezFailure`. */
export async function signInByDevice(
  server: AuthorizationServer,
  name: string,
  scope: string,
  show: (code: DeviceCode) => void,
): Promise<SignedIn> {
  const { metadata, resource } = server;
  const { issuer, device_authorization_endpoint: endpoint } = metadata;
  if (endpoint === undefined) throw failed(issuer, "it does not support sign-in by code (RFC 8628)");
  const clientId = await registerClient(server, name, REDIRECT_URI);
  const { body } = await postForm(endpoint, { client_id: clientId, scope, resource });
  const asked = DeviceCode.safeParse(body);
  if (!asked.success) throw failed(issuer, "it returned no code; it may have had too many requests");
  show(asked.data);
  const form = {
    grant_type: "urn:ietf:params:oauth:grant-type:device_code",
    device_code: asked.data.device_code,
    client_id: clientId,
    resource,
  };
  const deadlineMs = Date.now() + asked.data.expires_in * 1000;
  let pauseMs = asked.data.interval * 1000;
  while (Date.now() < deadlineMs) {
    await sleep(pauseMs);
    const answer = await askForTokens(metadata.token_endpoint, form).catch(() => null);
    if (answer === null) {
      // A short network failure. A client must then ask less often (RFC 8628 section 3.5).
      pauseMs = Math.min(pauseMs * 2, MAX_INTERVAL_S * 1000);
      continue;
    }
    if (!("error" in answer)) return { clientId, tokens: answer };
    if (answer.error === "slow_down") pauseMs += SLOWER_MS;
    else if (answer.error === "access_denied") throw failed(issuer, "it was denied");
    else if (answer.error !== "authorization_pending" && answer.error !== "temporarily_unavailable")
      throw failed(issuer, answer.error_description ?? answer.error);
  }
  throw failed(issuer, "nobody approved the code in time");
}
