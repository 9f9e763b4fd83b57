import { scrypt } from "node:crypto";
import { base64, fromBase64 } from "#protocol/bytes.ts";
import { COST } from "./password-cost.ts";

/** Memory limit for scrypt: twice the 128 * N * r that it needs (password-cost.ts). Node's default of 32 MiB is just too small. Bytes. */
const MEMORY_BYTES = 64 * 1024 * 1024;

const SALT_BYTES = 16;
const KEY_BYTES = 32;

/** Minimum length. Length is the only rule: NIST SP 800-63B advises against requiring digits or symbols, which people forget. */
export const PASSWORD_MIN = 10;
/** Maximum length, so that nobody can load the server by having it hash very long texts. */
const PASSWORD_MAX = 256;

/** Whether a new password has an allowed length. */
export function isAcceptable(password: string): boolean {
  return password.length >= PASSWORD_MIN && password.length <= PASSWORD_MAX;
}

/** The hash to store: `scrypt$15$8$3$<salt>$<key>`, in Base64. It contains its cost, so that the cost of new hashes can be raised. */
export async function hashPassword(password: string): Promise<string> {
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
  const { log2N, r, p } = COST;
  const key = await derive(password, salt, log2N, r, p);
  return ["scrypt", log2N, r, p, base64(salt), base64(key)].join("$");
}

/**
 * Whether `password` matches `hash`. Without a hash (unknown name, or no password set) it computes one all the same and answers
 * `false`, so that the response time does not reveal which names exist.
 */
export async function isPassword(password: string, hash: string | null): Promise<boolean> {
  const [kind, log2N, r, p, salt = "", key = ""] = (hash ?? NOBODY).split("$");
  if (kind !== "scrypt") throw new Error("a stored password hash has a format that this version does not know");
  const expected = fromBase64(key);
  const given = await derive(password.slice(0, PASSWORD_MAX), fromBase64(salt), Number(log2N), Number(r), Number(p));
  return crypto.subtle.timingSafeEqual(given, expected) && hash !== null;
}

const NOBODY = ["scrypt", COST.log2N, COST.r, COST.p, base64(new Uint8Array(SALT_BYTES)), base64(new Uint8Array(KEY_BYTES))].join("$"); // prettier-ignore

function derive(password: string, salt: Uint8Array, log2N: number, r: number, p: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const options = { N: 2 ** log2N, r, p, maxmem: MEMORY_BYTES };
    scrypt(password.normalize("NFKC"), salt, KEY_BYTES, options, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}
