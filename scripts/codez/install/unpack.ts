import { gunzipSync } from "node:zlib";

/** A bundle of 2 MB with its licences needs a fraction of this. Without a limit, a small file could fill the memory. */
const MAX_UNPACKED_BYTES = 64 * 1024 * 1024;

const BLOCK_BYTES = 512;
const REGULAR_FILE = 0x30;

/**
 * The files of a gzipped tar archive as `scripts/build/tarball.ts` writes it: plain files with short names (POSIX.1-1988
 * ustar). Nothing is written to disk. Throws for anything else, and for a header whose checksum is wrong.
 */
export function unpack(archive: Uint8Array): Map<string, Buffer> {
  const bytes = gunzipSync(archive, { maxOutputLength: MAX_UNPACKED_BYTES });
  const files = new Map<string, Buffer>();
  let at = 0;
  while (at + BLOCK_BYTES <= bytes.length) {
    const header = bytes.subarray(at, at + BLOCK_BYTES);
    if (header.every((byte) => byte === 0)) return files;
    const size = numberIn(header, 124, 12);
    // With a size below zero, the same header would be read without end.
    if (checksumOf(header) !== numberIn(header, 148, 8) || header[156] !== REGULAR_FILE || !(size >= 0))
      throw new Error("the archive has an entry that codez does not write");
    at += BLOCK_BYTES;
    if (at + size > bytes.length) break;
    files.set(textIn(header, 0, 100), bytes.subarray(at, at + size));
    at += Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
  }
  throw new Error("the archive ends in the middle");
}

function textIn(header: Buffer, at: number, length: number): string {
  const [text = ""] = header.toString("utf8", at, at + length).split("\0");
  return text;
}

function numberIn(header: Buffer, at: number, length: number): number {
  return Number.parseInt(textIn(header, at, length), 8);
}

/** The sum of all bytes, where the checksum itself counts as blanks. */
function checksumOf(header: Buffer): number {
  return header.reduce((sum, byte, index) => sum + (index >= 148 && index < 156 ? 0x20 : byte), 0);
}
