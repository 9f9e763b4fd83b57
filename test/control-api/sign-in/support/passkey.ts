import { runInDurableObject } from "cloudflare:test";
import { base64Url, sha256, utf8 } from "#protocol/bytes.ts";
import { directory } from "./visitor.ts";

/** User present and user verified (WebAuthn section 6.1). */
const FLAGS = 0x05;

/** A passkey in software: a key of a person's account, and what a browser answers with it. */
export class SoftPasskey {
  readonly #id = base64Url(crypto.getRandomValues(new Uint8Array(16)));
  readonly #keys: CryptoKeyPair;
  readonly #site: { id: string; origin: string };
  #counter = 0;

  private constructor(keys: CryptoKeyPair, origin: string) {
    this.#keys = keys;
    this.#site = { id: new URL(origin).hostname, origin };
  }

  /** Puts a new passkey into a person's account. */
  static async of(person: string, origin: string): Promise<SoftPasskey> {
    const algorithm = { name: "ECDSA", namedCurve: "P-256" };
    const keys = (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
    const passkey = new SoftPasskey(keys, origin);
    const point = new Uint8Array((await crypto.subtle.exportKey("raw", keys.publicKey)) as ArrayBuffer);
    // COSE_Key: an EC2 key for ES256 on P-256, with x and y (RFC 9053 section 7.1.1).
    const cose = [
      0xa5,
      1,
      2,
      3,
      0x26,
      0x20,
      1,
      0x21,
      0x58,
      32,
      ...point.slice(1, 33),
      0x22,
      0x58,
      32,
      ...point.slice(33),
    ];
    await runInDurableObject(directory(), (_accounts, { storage }) => {
      const row = "INSERT INTO passkey (id, person, public_key, counter, created_ms) VALUES (?, ?, ?, 0, 0)";
      storage.sql.exec(row, passkey.#id, person, Uint8Array.from(cose));
    });
    return passkey;
  }

  /** What the browser answers to a challenge, once the person has touched the device. */
  async answer(challenge: string): Promise<object> {
    this.#counter += 1;
    const client = utf8(JSON.stringify({ type: "webauthn.get", challenge, origin: this.#site.origin }));
    const data = Uint8Array.of(...(await sha256(this.#site.id)), FLAGS, 0, 0, 0, this.#counter);
    const signed = Uint8Array.of(...data, ...new Uint8Array(await crypto.subtle.digest("SHA-256", client)));
    const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, this.#keys.privateKey, signed);
    return {
      id: this.#id,
      rawId: this.#id,
      type: "public-key",
      clientExtensionResults: {},
      response: {
        clientDataJSON: base64Url(client),
        authenticatorData: base64Url(data),
        signature: base64Url(derOf(new Uint8Array(signature))),
      },
    };
  }
}

/** An ECDSA signature as WebAuthn has it (ASN.1 DER); WebCrypto gives the two numbers one after the other. */
function derOf(signature: Uint8Array): Uint8Array {
  const numbers = [signature.slice(0, 32), signature.slice(32)].flatMap((half) => {
    const first = half.findIndex((byte) => byte !== 0);
    const bytes = Array.from(half.slice(first === -1 ? 31 : first));
    const positive = (bytes[0] ?? 0) > 0x7f ? [0, ...bytes] : bytes;
    return [0x02, positive.length, ...positive];
  });
  return Uint8Array.of(0x30, numbers.length, ...numbers);
}
