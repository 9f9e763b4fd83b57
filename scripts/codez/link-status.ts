import { expiryOf } from "#protocol/link-token.ts";
import { Presence } from "#protocol/script-api.ts";
import { operatorFetch } from "../trust/operator-fetch.ts";
import { isoDay } from "#protocol/iso-time.ts";
import { ExitCode } from "./exit-code.ts";
import { CodezFailure } from "./failure.ts";
import type { Profile } from "./profile/profile.ts";

/** The dispatch Worker and the script answer within milliseconds. A script that has to be started takes a second. */
const TIMEOUT_MS = 15_000;

/**
 * How Operator sees this machine, according to the machine's own script. The link token suffices to read it, so nobody has to
 * sign in. Throws `CodezFailure`.
 */
export async function presenceOf({ hub, name, linkUrl, token }: Profile): Promise<Presence> {
  const address = linkUrl.replace(/^ws/, "http");
  let response: Response;
  try {
    response = await operatorFetch(address, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (reason) {
    throw new CodezFailure(
      ExitCode.HUB_UNREACHABLE,
      `Operator at ${hub} cannot be reached: ${reasonOf(reason)}`,
      "Check this computer's network, and that Operator is running.",
      reason,
    );
  }
  const expiresMs = expiryOf(token);
  if (response.status === 401 && expiresMs !== null && expiresMs <= Date.now()) throw expiredFailure(name, expiresMs);
  if (response.status === 401)
    throw new CodezFailure(
      ExitCode.REVOKED,
      `Operator does not accept the token of "${name}": the machine was removed or renamed, its token rotated, or Operator restored from a backup.`,
      `codez setup ${name}`,
    );
  const presence = Presence.safeParse(await response.json().catch(() => null));
  if (response.ok && presence.success) return presence.data;
  throw new CodezFailure(
    ExitCode.REFUSED,
    `Operator at ${hub} did not say how "${name}" is (HTTP ${response.status}).`,
    "Try again in a moment. An Operator that is older than this codez cannot say it: codez machines",
  );
}

/** The link token of a machine that was off for too long. */
export function expiredFailure(name: string, expiredMs: number): CodezFailure {
  return new CodezFailure(
    ExitCode.REVOKED,
    `The link token of "${name}" expired on ${isoDay(expiredMs)}, because this machine was not connected for too long to renew it.`,
    `codez setup ${name}`,
  );
}

/** The message of the underlying error: `fetch` itself only says "fetch failed". */
function reasonOf(reason: unknown): string {
  if (!(reason instanceof Error)) return String(reason);
  return reason.cause instanceof Error ? reason.cause.message : reason.message;
}
