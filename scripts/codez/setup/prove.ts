import { randomUUID } from "node:crypto";
import {
  checkTarget,
  Connector,
  emptySpool,
  machineFacts,
  type Stopped,
  type TargetCheck,
} from "../../connector/index.ts";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";
import type { OperatorClient } from "../operator-client.ts";
import { makeTarget } from "../make-target.ts";
import { holderOf, Lock } from "../../system/lock.ts";
import { whyNotDial } from "../own-operator.ts";
import type { Profile } from "../profile/profile.ts";
import type { ProfileFolder } from "../profile/profile-folder.ts";
import { failureOf, saveToken } from "../run-connector.ts";
import { VERSION } from "../version.ts";

/**
 * Time from dialling until `/mcp` shows the machine online. On Cloudflare a new script takes several seconds to reach all
 * locations.
 */
const PROOF_TIMEOUT_MS = 45_000;
const ASK_AGAIN_MS = 500;

/**
 * How long a saved token may be refused before it counts as revoked. A new token gets the connector's own, longer grace
 * period.
 */
const OLD_TOKEN_GRACE_MS = 1_500;

/** Why a connector stops that needs another token. */
const TOKEN_REFUSED: ReadonlySet<Stopped["reason"]> = new Set(["refused", "expired", "revoked"]);

/** The outcome. `refused`: Operator does not accept the token (any more). */
export type Proof = { kind: "online" } | { kind: "refused" };

/** Whether the machine's MCP server answers. A machine whose server is down is online, but none of its tools work. */
export async function checkServer({ target: spec, name }: Profile): Promise<TargetCheck> {
  const target = makeTarget(spec, name);
  try {
    return await checkTarget(target, VERSION);
  } finally {
    await target.close();
  }
}

/**
 * Opens the machine's link, unless a connector is already running, and polls Operator's public endpoint until it shows the
 * machine online. Throws `CodezFailure` when it does not in time.
 *
 * @param isNewToken whether the token was issued just now.
 */
export async function proveOnline(
  operator: OperatorClient,
  folder: ProfileFolder,
  key: string,
  profile: Profile,
  isNewToken: boolean,
): Promise<Proof> {
  const lock = Lock.take(folder.file(key, ".lock"));
  if (!(lock instanceof Lock)) return waitUntilSeen(operator, folder, key, profile, new Promise(() => undefined));
  const target = makeTarget(profile.target, profile.name);
  const connector = new Connector({
    credentials: () => Promise.resolve({ ...profile, key: folder.linkKey(key) }),
    renewed: (token, formerToken) => saveToken(folder, key, token, formerToken),
    renamed: () => Promise.resolve(),
    whyNotDial,
    facts: () => machineFacts(VERSION),
    target,
    ...(isNewToken ? {} : { refusalGraceMs: OLD_TOKEN_GRACE_MS }),
    spool: emptySpool(`setup-${randomUUID()}`),
  });
  const stopped = connector.run();
  try {
    return await waitUntilSeen(operator, folder, key, profile, stopped);
  } finally {
    connector.stop("setup is done");
    await stopped;
    await target.close();
    lock.release();
  }
}

async function waitUntilSeen(
  operator: OperatorClient,
  folder: ProfileFolder,
  key: string,
  profile: Profile,
  stopped: Promise<Stopped>,
): Promise<Proof> {
  const deadlineMs = Date.now() + PROOF_TIMEOUT_MS;
  for (;;) {
    const status = await operator.statusAtMcp(profile.name);
    if (status === "online") return { kind: "online" };
    const ended = await Promise.race([stopped, pause()]);
    if (ended !== null && TOKEN_REFUSED.has(ended.reason)) return { kind: "refused" };
    if (ended === null && Date.now() < deadlineMs) continue;
    const final = ended === null ? null : failureOf(ended, profile.name, operator.origin);
    if (final !== null) throw final;
    throw notOnline(operator, profile, status, ended, holderOf(folder.file(key, ".lock"))?.detail ?? "");
  }
}

function pause(): Promise<null> {
  return new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS, null));
}

function notOnline(
  operator: OperatorClient,
  profile: Profile,
  status: string | null,
  ended: Stopped | null,
  detail: string,
): CodezFailure {
  const seen = status === null ? "is not in its list of machines" : `is ${status.replaceAll("_", " ")}`;
  const why = ended !== null && "message" in ended ? ended.message : detail;
  return new CodezFailure(
    ExitCode.NOT_ONLINE,
    `"${profile.name}" ${seen} at ${operator.origin}/mcp${why === "" ? "." : `: ${why}`}`,
    `Check that this computer reaches ${new URL(profile.linkUrl).origin} by WebSocket, then: codez setup ${profile.name}`,
  );
}
