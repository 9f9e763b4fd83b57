import { base64 } from "#protocol/bytes.ts";
import { plainOf } from "../design/foreign-text.ts";
import { imageTypeOf } from "./conversation/image.ts";

/** Files that one prompt takes from the page. */
const MAX_FILES = 4;

/**
 * Bytes of all files of a prompt. The Messages API takes 5 MB an image. The page's script makes photos smaller before they are sent, so this
 * is for PDFs, and for browsers without the script.
 */
const MAX_BYTES = 5 * 1024 * 1024;

const PDF = [0x25, 0x50, 0x44, 0x46, 0x2d];

/** What the file field offers. HEIC is not among them, so a phone converts its photos to JPEG. */
export const ACCEPTED = "image/png,image/jpeg,image/gif,image/webp,application/pdf";

/** A file as `send_prompt` and `create_session` take it. */
type Attachment = { readonly media_type: string; readonly data: string; readonly name: string };

/**
 * The files of a form, checked: their kind by their first bytes, whatever the browser calls it. Or what is wrong with them, as a sentence.
 */
export async function attachmentsIn(
  form: FormData,
): Promise<{ readonly files: Attachment[] } | { readonly problem: string }> {
  // An empty field of a form is a file without a name and without bytes.
  const given = form.getAll("files").filter((file): file is File => typeof file !== "string" && file.size > 0);
  if (given.length > MAX_FILES) return { problem: `A prompt takes ${MAX_FILES} files.` };
  if (given.reduce((all, { size }) => all + size, 0) > MAX_BYTES)
    return { problem: `The files of a prompt may have ${MAX_BYTES / 1024 / 1024} MB together.` };
  const files: Attachment[] = [];
  for (const file of given) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const type = imageTypeOf(bytes) ?? (PDF.every((byte, at) => bytes[at] === byte) ? "application/pdf" : null);
    const name = plainOf(file.name, 100);
    if (type === null) return { problem: `${name} is no PNG, JPEG, GIF or WebP image and no PDF.` };
    files.push({ media_type: type, data: inBase64(bytes), name });
  }
  return { files };
}

/** Bytes at a time, a multiple of three. In one piece, a string of megabytes would be put together of single characters. */
const PIECE_BYTES = 24 * 1024;

function inBase64(bytes: Uint8Array): string {
  const pieces: string[] = [];
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) pieces.push(base64(bytes.subarray(at, at + PIECE_BYTES)));
  return pieces.join("");
}

/** Base64 of files with which a call can have a key at every machine: with it, it may have 1 MB (delivery/limits.ts). */
const MAX_KEYED_CHARACTERS = 900_000;

/**
 * Whether a prompt with these files can have a key at a machine that does not know keys itself. One without is sent twice if its form is;
 * the script prevents that.
 */
export function mayHaveKey(files: readonly Attachment[], text: string): boolean {
  return files.reduce((all, { data }) => all + data.length, text.length * 2) < MAX_KEYED_CHARACTERS;
}
