import { readFileSync, statSync } from "node:fs";
import { type Certificate, checked, type CertificateSource } from "./certificate.ts";

/** How often the files are checked. Certificates are renewed weeks before they expire, so this is soon enough. */
const LOOK_MS = 30_000;

export type CertificateFilesOptions = {
  readonly certFile: string;
  readonly keyFile: string;
  readonly log: (line: string) => void;
  readonly lookMs?: number;
};

/** A certificate in two files that another program renews. If they cannot be used, that is logged and the last good one stays in use. */
export class CertificateFiles implements CertificateSource {
  readonly #options: CertificateFilesOptions;
  readonly #listeners: ((certificate: Certificate) => void)[] = [];
  readonly #timer: NodeJS.Timeout;
  #current: Certificate;
  #stamp: string;

  /** @throws Error that names the file */
  constructor(options: CertificateFilesOptions) {
    this.#options = options;
    this.#stamp = this.#look();
    this.#current = this.#read();
    this.#timer = setInterval(() => this.#renew(), options.lookMs ?? LOOK_MS);
    this.#timer.unref();
  }

  get current(): Certificate {
    return this.#current;
  }

  onRenewed(listener: (certificate: Certificate) => void): void {
    this.#listeners.push(listener);
  }

  [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    return Promise.resolve();
  }

  /** The two files are not replaced at the same moment. While they do not match, the next check tries again. */
  #renew(): void {
    try {
      const stamp = this.#look();
      if (stamp === this.#stamp) return;
      const renewed = this.#read();
      this.#stamp = stamp;
      if (renewed.cert === this.#current.cert && renewed.key === this.#current.key) return;
      this.#current = renewed;
      this.#options.log(`the renewed certificate in ${this.#options.certFile} is now in use`);
      for (const listener of this.#listeners) listener(renewed);
    } catch (reason) {
      this.#options.log(`${messageOf(reason)}; the previous certificate stays in use`);
    }
  }

  #look(): string {
    const { certFile, keyFile } = this.#options;
    return [certFile, keyFile]
      .map((file) => {
        const { mtimeMs, ino, size } = attempt(`cannot read ${file}`, () => statSync(file));
        return `${ino} ${size} ${mtimeMs}`;
      })
      .join(" ");
  }

  #read(): Certificate {
    const { certFile, keyFile } = this.#options;
    const cert = attempt(`cannot read ${certFile}`, () => readFileSync(certFile, "utf8"));
    const key = attempt(`cannot read ${keyFile}`, () => readFileSync(keyFile, "utf8"));
    return attempt(`${certFile} and ${keyFile} cannot be used`, () => checked({ cert, key }));
  }
}

function attempt<Value>(what: string, act: () => Value): Value {
  try {
    return act();
  } catch (reason) {
    throw new Error(`${what}: ${messageOf(reason)}`, { cause: reason });
  }
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
