import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { linkSync, lstatSync, readFileSync, renameSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import type { LinkSigner } from "../../connector/index.ts";
import { writePrivately } from "../../system/atomic-file.ts";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";

/** A private key in PEM is 119 bytes. Whatever is much larger, `codez` did not write. */
const MAX_BYTES = 1_024;

/**
 * The private key of a machine's link, in a file of its own beside the profile, so that a copied profile does not contain it. It is
 * made at the first use and never leaves this computer.
 *
 * Throws `CodezFailure` when the file cannot be trusted, and the error of the file system when it cannot be written.
 */
export function linkKey(path: string, name: string): LinkSigner {
  return signerOf(read(path, name) ?? make(path, name));
}

/** The public key, if there is a key already. */
export function publicLinkKey(path: string, name: string): string | null {
  const key = read(path, name);
  return key === null ? null : publicKeyOf(key);
}

function read(path: string, name: string): KeyObject | null {
  let stat;
  try {
    stat = lstatSync(path);
  } catch (reason) {
    if (reason instanceof Error && "code" in reason && reason.code === "ENOENT") return null;
    throw broken(path, name, String(reason), reason);
  }
  const isOwn = process.getuid === undefined || stat.uid === process.getuid();
  const isPrivate = process.platform === "win32" || (stat.mode & 0o077) === 0;
  if (!stat.isFile() || !isOwn || !isPrivate || stat.size > MAX_BYTES)
    throw broken(path, name, "it can be read or written by others, belongs to somebody else, or is not a key");
  let key: KeyObject;
  try {
    key = createPrivateKey(readFileSync(path));
  } catch (reason) {
    throw broken(path, name, "it does not contain a private key", reason);
  }
  if (key.asymmetricKeyType !== "ed25519") throw broken(path, name, "it contains another kind of key");
  return key;
}

/** Makes the key. If another process of this user makes it at the same moment, the first one counts. */
function make(path: string, name: string): KeyObject {
  const { privateKey } = generateKeyPairSync("ed25519");
  const draft = `${path}.${process.pid}`;
  writePrivately(draft, privateKey.export({ type: "pkcs8", format: "pem" }).toString());
  try {
    linkSync(draft, path);
    return privateKey;
  } catch {
    const other = read(path, name);
    if (other !== null) return other;
    renameSync(draft, path); // a file system without hard links
    return privateKey;
  } finally {
    rmSync(draft, { force: true });
  }
}

function signerOf(key: KeyObject): LinkSigner {
  return { publicKey: publicKeyOf(key), sign: (text) => sign(null, text, key).toString("base64url") };
}

function publicKeyOf(key: KeyObject): string {
  const { x } = createPublicKey(key).export({ format: "jwk" });
  if (x === undefined) throw new Error("an Ed25519 key has no public part");
  return x;
}

function broken(path: string, name: string, why: string, cause?: unknown): CodezFailure {
  return new CodezFailure(
    ExitCode.FILE_BROKEN,
    `The link key ${path} on ${hostname()} cannot be used: ${why}.`,
    `Remove it, and give this computer a new one: codez setup ${name}`,
    cause,
  );
}
