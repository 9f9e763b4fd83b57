import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { axios, Client, crypto, directory } from "acme-client";
import { writePrivately } from "../system/atomic-file.ts";
import { type Certificate, checked, type CertificateSource, covers, endsAtMs, lifetimeMs } from "./certificate.ts";
import type { Challenges } from "./challenges.ts";

/** A certificate is renewed when this share of its lifetime is left, as certificate authorities recommend. */
const RENEW_SHARE = 1 / 3;

/** How often to check whether the certificate is due for renewal. */
const LOOK_MS = 60 * 60_000;

/** Wait after a failed renewal. Authorities limit failed attempts (Let's Encrypt: five per host and hour); this makes four. */
const RETRY_MS = 15 * 60_000;

/**
 * acme-client repeats a request that the authority does not answer, by default 5 times after 5 s each. A first start would then
 * print nothing for half a minute, so this makes it 2 times after 2 s. acme-client reads the setting from axios' defaults.
 */
Object.assign(axios.defaults, { acmeSettings: { retryMaxAttempts: 2, retryDefaultDelay: 2 } });

export type AcmeOptions = {
  /** E-mail address of the ACME account, to which the authority sends expiry notices. */
  readonly email: string;
  readonly hosts: readonly string[];
  /** Where the account key, the certificate and the certificate's key are stored. */
  readonly folder: string;
  readonly challenges: Challenges;
  readonly log: (line: string) => void;
  /** URL of the authority's ACME directory. Default: Let's Encrypt. */
  readonly directoryUrl?: string;
  readonly now?: () => number;
};

/**
 * A certificate that is obtained and renewed by ACME with HTTP-01 challenges (RFC 8555).
 *
 * A timer checks the certificate every hour and renews it in its last third. One long timer until that date would not do:
 * setTimeout() waits 24 days at most and does not follow a changed clock. A failed renewal is logged and tried again; the old
 * certificate stays in use meanwhile.
 */
export class AcmeCertificate implements CertificateSource {
  readonly #options: AcmeOptions;
  readonly #listeners: ((certificate: Certificate) => void)[] = [];
  #current: Certificate;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  /** Uses the stored certificate if it is valid for all hosts, or obtains a new one. @throws Error with the authority's message */
  static async start(options: AcmeOptions): Promise<AcmeCertificate> {
    mkdirSync(options.folder, { recursive: true, mode: 0o700 });
    const kept = keptIn(options.folder);
    const isUsable = kept !== null && covers(kept, options.hosts) && endsAtMs(kept) > nowOf(options);
    return new AcmeCertificate(options, isUsable ? kept : await obtain(options));
  }

  private constructor(options: AcmeOptions, current: Certificate) {
    this.#options = options;
    this.#current = current;
    this.#schedule(0);
  }

  get current(): Certificate {
    return this.#current;
  }

  onRenewed(listener: (certificate: Certificate) => void): void {
    this.#listeners.push(listener);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    return Promise.resolve();
  }

  #schedule(afterMs: number): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => void this.#look().then((nextMs) => this.#schedule(nextMs)), afterMs);
    this.#timer.unref();
  }

  /** Renews the certificate if it is due. Resolves with the time until the next check; never rejects. */
  async #look(): Promise<number> {
    const leftMs = endsAtMs(this.#current) - nowOf(this.#options);
    if (leftMs > lifetimeMs(this.#current) * RENEW_SHARE) return LOOK_MS;
    try {
      const renewed = await obtain(this.#options);
      this.#current = renewed;
      this.#options.log(`the certificate was renewed; it ends ${new Date(endsAtMs(renewed)).toISOString()}`);
      for (const listener of this.#listeners) listener(renewed);
      return LOOK_MS;
    } catch (reason) {
      const hours = Math.floor(leftMs / 3_600_000);
      this.#options.log(`the certificate, which ends in ${hours} hours, could not be renewed: ${String(reason)}`);
      return RETRY_MS;
    }
  }
}

function nowOf({ now = Date.now }: AcmeOptions): number {
  return now();
}

async function obtain(options: AcmeOptions): Promise<Certificate> {
  const authority = options.directoryUrl ?? directory.letsencrypt.production;
  try {
    return await order(options, authority);
  } catch (reason) {
    // acme-client's error does not name the authority when it cannot be reached, so the message here does.
    const words = reason instanceof Error ? reason.message : String(reason);
    throw new Error(
      `the certificate authority at ${authority} gave no certificate for ${options.hosts.join(", ")}: ${words}`,
      { cause: reason },
    );
  }
}

async function order({ email, hosts, folder, challenges }: AcmeOptions, directoryUrl: string): Promise<Certificate> {
  const client = new Client({ directoryUrl, accountKey: await accountKeyIn(folder) });
  const [key, csr] = await crypto.createCsr({ altNames: [...hosts] }, await crypto.createPrivateEcdsaKey());
  const cert = await client.auto({
    csr,
    email,
    termsOfServiceAgreed: true,
    challengePriority: ["http-01"],
    // acme-client would first request the challenge itself. Many routers do not route the public name back to this computer
    // (no hairpin NAT), so that request can fail although the authority, which connects from outside, would succeed.
    skipChallengeVerification: true,
    challengeCreateFn: (_, { token }, keyAuthorization) => Promise.resolve(challenges.expect(token, keyAuthorization)),
    challengeRemoveFn: (_, { token }) => Promise.resolve(challenges.forget(token)),
  });
  const certificate = checked({ cert: cert.toString(), key: key.toString() });
  // Certificate and key are in one file, so that a crash never leaves a certificate with the wrong key.
  writePrivately(join(folder, "certificate.json"), JSON.stringify(certificate));
  return certificate;
}

async function accountKeyIn(folder: string): Promise<string> {
  const file = join(folder, "account.pem");
  const kept = readIfThere(file);
  if (kept !== null) return kept;
  const made = (await crypto.createPrivateEcdsaKey()).toString();
  writePrivately(file, made);
  return made;
}

/** The certificate stored by an earlier start. `null` if there is none or its file is damaged; a new one is then obtained. */
function keptIn(folder: string): Certificate | null {
  const text = readIfThere(join(folder, "certificate.json"));
  if (text === null) return null;
  try {
    const { cert, key } = JSON.parse(text) as Certificate;
    return checked({ cert, key });
  } catch {
    return null;
  }
}

function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch (reason) {
    if (reason instanceof Error && "code" in reason && reason.code === "ENOENT") return null;
    throw reason;
  }
}
