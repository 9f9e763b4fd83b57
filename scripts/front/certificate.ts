import { createPrivateKey, X509Certificate } from "node:crypto";

/** A certificate chain and its key, in PEM. */
export type Certificate = { readonly cert: string; readonly key: string };

/** Provides a front's certificate, and each renewed one. */
export type CertificateSource = AsyncDisposable & {
  readonly current: Certificate;
  /** The listener is called with each renewed certificate. */
  onRenewed(listener: (certificate: Certificate) => void): void;
};

/**
 * Checks that a chain's first certificate and a key belong together.
 * @throws Error with the problem
 */
export function checked(certificate: Certificate): Certificate {
  const first = parsed(certificate.cert);
  let key;
  try {
    key = createPrivateKey(certificate.key);
  } catch (reason) {
    throw new Error("the key is not a private key in PEM (one with a passphrase cannot be used)", { cause: reason });
  }
  if (!first.checkPrivateKey(key)) throw new Error("the certificate does not match the key");
  return certificate;
}

/** When a chain's first certificate expires, in milliseconds since 1970. */
export function endsAtMs({ cert }: Certificate): number {
  return parsed(cert).validToDate.getTime();
}

/** The whole validity period of a chain's first certificate, in milliseconds. */
export function lifetimeMs({ cert }: Certificate): number {
  const { validFromDate, validToDate } = parsed(cert);
  return validToDate.getTime() - validFromDate.getTime();
}

/** Whether a chain's first certificate is valid for all of these host names. */
export function covers({ cert }: Certificate, hosts: readonly string[]): boolean {
  const first = parsed(cert);
  return hosts.every((host) => first.checkHost(host) !== undefined);
}

function parsed(cert: string): X509Certificate {
  try {
    return new X509Certificate(cert);
  } catch (reason) {
    throw new Error("the certificate is not in PEM", { cause: reason });
  }
}
