import { runInDurableObject } from "cloudflare:test";
import { base64Url, sha256, utf8 } from "#protocol/bytes.ts";
import { directory } from "./visitor.ts";

/** User present and user verified (WebAuthn section 6.1), and that the key is attached, as it is when it was just made. */
const FLAGS = 0x05;
const KEY_ATTACHED = 0x40;

/** What a test changes of an answer that would be right. `site`: the relying party that was hashed. */
export type Wrong = {
  readonly client?: Readonly<Record<string, unknown>>;
  readonly site?: string;
  readonly flags?: number;
  readonly counter?: number;
  readonly userHandle?: string | null;
};

/** A passkey in software: a key of a person's account, and what a browser answers with it. */
export class SoftPasskey {
  readonly #id = base64Url(crypto.getRandomValues(new Uint8Array(16)));
  readonly #keys: CryptoKeyPair;
  readonly #site: { id: string; origin: string };
  readonly #person: string;
  #counter = 0;

  private constructor(person: string, keys: CryptoKeyPair, origin: string) {
    this.#person = person;
    this.#keys = keys;
    this.#site = { id: new URL(origin).hostname, origin };
  }

  /** Puts a new passkey into a person's account. */
  static async of(person: string, origin: string): Promise<SoftPasskey> {
    const keys = await newKeys();
    const passkey = new SoftPasskey(person, keys, origin);
    const cose = await coseOf(keys);
    await runInDurableObject(directory(), (_accounts, { storage }) => {
      const row = "INSERT INTO passkey (id, person, public_key, counter, created_ms) VALUES (?, ?, ?, 0, 0)";
      storage.sql.exec(row, passkey.#id, person, cose);
    });
    return passkey;
  }

  /** What the browser answers to a challenge, once the person has touched the device. */
  async answer(challenge: string, wrong: Wrong = {}): Promise<object> {
    this.#counter += 1;
    const { site = this.#site.id, flags = FLAGS, counter = this.#counter } = wrong;
    const { userHandle = base64Url(utf8(this.#person)) } = wrong;
    const { origin } = this.#site;
    const client = utf8(JSON.stringify({ type: "webauthn.get", challenge, origin, ...wrong.client }));
    const data = Uint8Array.of(...(await sha256(site)), flags, 0, 0, 0, counter);
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
        ...(userHandle === null ? {} : { userHandle }),
      },
    };
  }
}

/** What a browser answers when a person adds a new passkey, which nobody has attested (WebAuthn section 8.7). */
export async function newPasskey(
  challenge: string,
  origin: string,
  id = crypto.getRandomValues(new Uint8Array(16)),
  { client: wrong = {}, site = new URL(origin).hostname, flags = FLAGS }: Wrong = {},
): Promise<object> {
  const [aaguid, counter, length] = [new Uint8Array(16), [0, 0, 0, 0], [0, id.length]];
  const head = [...(await sha256(site)), flags | KEY_ATTACHED, ...counter];
  const data = Uint8Array.of(...head, ...aaguid, ...length, ...id, ...(await coseOf(await newKeys())));
  // CBOR: {"fmt": "none", "attStmt": {}, "authData": <bytes of a length of one byte>}.
  const text = (word: string): number[] => [0x60 + word.length, ...utf8(word)];
  const cbor = [
    0xa3,
    ...text("fmt"),
    ...text("none"),
    ...text("attStmt"),
    0xa0,
    ...text("authData"),
    0x58,
    data.length,
  ];
  const client = utf8(JSON.stringify({ type: "webauthn.create", challenge, origin, ...wrong }));
  const response = { clientDataJSON: base64Url(client), attestationObject: base64Url(Uint8Array.of(...cbor, ...data)) };
  return { id: base64Url(id), rawId: base64Url(id), type: "public-key", clientExtensionResults: {}, response };
}

async function newKeys(): Promise<CryptoKeyPair> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  return (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
}

/** COSE_Key: an EC2 key for ES256 on P-256, with x and y (RFC 9053 section 7.1.1). */
async function coseOf({ publicKey }: CryptoKeyPair): Promise<Uint8Array> {
  const point = new Uint8Array((await crypto.subtle.exportKey("raw", publicKey)) as ArrayBuffer);
  const [x, y] = [point.slice(1, 33), point.slice(33)];
  return Uint8Array.of(0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32, ...x, 0x22, 0x58, 32, ...y);
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
