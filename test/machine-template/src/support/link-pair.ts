import { base64Url, hex, sha256 } from "#protocol/bytes.ts";
import type { Dial } from "#protocol/control.ts";
import { makeLinkToken } from "#protocol/link-token.ts";
import { proofText } from "#protocol/link-key.ts";
import { PROTOCOL_VERSION } from "#protocol/limits.ts";
import type { CredentialChange, LinkCredentials } from "#protocol/script-api.ts";
import { ask, FACTS, TestConnector } from "./connector.ts";

/** The secret of the tokens of the script under test (vitest.config.ts). */
const LINK_SECRET = "link-secret";

export const DIAL: Dial = { connector: "c", start: 1, number: 1 };

const DAY_MS = 24 * 60 * 60_000;

/** A machine's key pair. */
export class LinkPair {
  readonly key: string;
  readonly #private: CryptoKey;

  private constructor(key: string, secret: CryptoKey) {
    this.key = key;
    this.#private = secret;
  }

  static async make(): Promise<LinkPair> {
    const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
    const raw = (await crypto.subtle.exportKey("raw", pair.publicKey)) as ArrayBuffer;
    return new LinkPair(base64Url(new Uint8Array(raw)), pair.privateKey);
  }

  async prove(nonce: string, token: string, stream: string, dial: Dial): Promise<string> {
    const text = proofText({ nonce, tokenHash: hex(await sha256(token)), stream, dial });
    return base64Url(new Uint8Array(await crypto.subtle.sign("Ed25519", this.#private, text)));
  }

  /** The hello that proves this key on that socket. */
  async hello(connector: TestConnector, token = "link-token", dial = DIAL): Promise<object> {
    const proof = await this.prove(connector.nonce, token, "stream-1", dial);
    return { type: "hello", protocol: PROTOCOL_VERSION, stream: "stream-1", dial, key: this.key, proof, facts: FACTS };
  }

  /** Dials with a token and the proof of this key. */
  async dial(token = "link-token", dial = DIAL): Promise<TestConnector> {
    const connector = await TestConnector.open(token);
    connector.say(await this.hello(connector, token, dial));
    return connector;
  }

  /** The same, and waits until it is the link. */
  async greeted(token = "link-token", dial = DIAL): Promise<TestConnector> {
    const connector = await this.dial(token, dial);
    await connector.until(() => connector.words.some(({ type }) => type === "welcome"));
    return connector;
  }
}

/** A token of this Operator and owner that expires in so many days. */
export function tokenFor(days: number): Promise<string> {
  return makeLinkToken(LINK_SECRET, Date.now() + days * DAY_MS);
}

/** Tells the script what the control API would. */
export async function change(told: CredentialChange): Promise<LinkCredentials> {
  const response = await ask("/operator/credentials", { method: "POST", body: JSON.stringify(told) });
  if (!response.ok) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
  return response.json();
}

/** Issues a token that expires in so many days, by default to the computer that the machine is. */
export async function issue(
  days: number,
  more: { identity?: string; key?: string; issuedMs?: number } = {},
): Promise<string> {
  const token = await tokenFor(days);
  const { identity = "identity-of-attic", issuedMs = Date.now(), key } = more;
  const accepted = { hash: hex(await sha256(token)), expiresMs: Date.now() + days * DAY_MS };
  await change({ change: "issue", issuedMs, identity, token: accepted, ...(key === undefined ? {} : { key }) });
  return token;
}
