import { isLoopbackHost } from "#protocol/loopback-host.ts";
import { plainLoopback } from "../system/plain-loopback.ts";
import { ExitCode } from "./exit-code.ts";
import { CodezFailure } from "./failure.ts";
import { tarballOf } from "./invocation.ts";
import { hubToken } from "./credentials.ts";
import type { Need } from "./sign-in/sign-in.ts";
import { OperatorClient, LOCAL_OPERATOR } from "./operator-client.ts";
import type { ProfileFolder } from "./profile/profile-folder.ts";

/** A client of the Operator that a command is for, with a token for what the command needs. Throws `CodezFailure`. */
export async function findOperator(
  given: string | undefined,
  folder: ProfileFolder,
  need: Need = "admin",
): Promise<OperatorClient> {
  const hub = hubOf(given, folder);
  return new OperatorClient(hub, await hubToken(hub, need));
}

/**
 * The address of the Operator that a command is for: `--hub`, else CODEZ_HUB, else the one that this very codez was fetched from
 * (`npx -y https://operator.example.com/codez.tgz`), else the one that this computer is set up with, else a local one.
 */
export function hubOf(given: string | undefined, folder: ProfileFolder): string {
  return namedHub(given) ?? plainLoopback(operatorOrigin(hubOfProfiles(folder) ?? LOCAL_OPERATOR));
}

/** The Operator that was named, in one of the first three ways; `null` when none was. */
export function namedHub(given: string | undefined): string | null {
  const named = given ?? (process.env["CODEZ_HUB"] || undefined) ?? tarballOf(process.argv[1]);
  return named == null ? null : plainLoopback(operatorOrigin(named));
}

/** The Operator that all profiles share; `undefined` when there are no profiles, or several Operators. */
function hubOfProfiles(folder: ProfileFolder): string | undefined {
  const hubs = new Set(folder.names().flatMap((name) => folder.read(name)?.hub ?? []));
  return hubs.size === 1 ? [...hubs][0] : undefined;
}

/**
 * The origin of an Operator's address. Throws `CodezFailure` for one that is none. An Operator has TLS, or is on this computer: to any other
 * address without TLS the token would go through the network in the clear, to whoever answers there.
 */
export function operatorOrigin(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url?.protocol === "https:" || (url?.protocol === "http:" && isLoopbackHost(url.hostname))) return url.origin;
  const why =
    url?.protocol === "http:"
      ? "has no TLS, so your token could be read on the way to it"
      : "is not the address of an Operator";
  throw new CodezFailure(ExitCode.USAGE, `"${address}" ${why}.`, "Give it as https://operator.example.com");
}
