import { scrypt } from "node:crypto";
import { base64, fromBase64 } from "#protocol/bytes.ts";

/**
 * scrypt with N = 2^15, r = 8, p = 3: 32 MiB and some 0.2 s of a server's core for each guess, one of the equal choices of
 * OWASP's Password Storage Cheat Sheet. WebCrypto's PBKDF2 was no choice: Workers cap it at 100,000 iterations.
 */
const COST = { log2N: 15, r: 8, p: 3 };

/** What N and r need (128 * N * r), twice over; the default is just too little. Bytes. */
const MEMORY_BYTES = 64 * 1024 * 1024;

const SALT_BYTES = 16;
const KEY_BYTES = 32;

/** A line for a length that no guesser reaches, without asking anybody for signs they forget (NIST SP 800-63B). */
export const PASSWORD_MIN = 10;
/** Past this it is not a password but an attempt to keep us busy. */
const PASSWORD_MAX = 256;

/** Whether `password` may be one. */
export function isAcceptable(password: string): boolean {
  return password.length >= PASSWORD_MIN && password.length <= PASSWORD_MAX;
}

/** The hash to keep: `scrypt$15$8$3$<salt>$<key>`, Base64. Its cost is in it, so that it can be raised. */
export async function hashPassword(password: string): Promise<string> {
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
  const { log2N, r, p } = COST;
  const key = await derive(password, salt, log2N, r, p);
  return ["scrypt", log2N, r, p, base64(salt), base64(key)].join("$");
}

/**
 * Whether `password` is the one behind `hash`. Without a hash (nobody of that name, or no password set) it takes as long
 * and answers no, so that time does not tell which names there are.
 */
export async function isPassword(password: string, hash: string | null): Promise<boolean> {
  const [kind, log2N, r, p, salt = "", key = ""] = (hash ?? NOBODY).split("$");
  if (kind !== "scrypt") throw new Error("a password is kept in a form that this version does not know");
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
