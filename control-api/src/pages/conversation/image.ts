/**
 * Base64 of the largest image that a page shows, 2.2 MB of it: more than Claude Code keeps of a photo. An answer is several times as large in
 * memory while it is read.
 */
export const MAX_IMAGE_CHARACTERS = 3 * 1024 * 1024;

/** Kinds of images that browsers show without running anything, by their first bytes. SVG is none: it is a document with scripts. */
const KINDS = [
  { type: "image/png", begins: [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a] },
  { type: "image/jpeg", begins: [0xff, 0xd8, 0xff] },
  { type: "image/gif", begins: [0x47, 0x49, 0x46, 0x38] },
  { type: "image/webp", begins: [0x52, 0x49, 0x46, 0x46] },
] as const;

const WEBP = [0x57, 0x45, 0x42, 0x50];

export function isSafeImage(type: string): boolean {
  return KINDS.some((kind) => kind.type === type);
}

/** The media type that an image's own bytes tell; `null` if they are no image of these kinds. What a sender calls it does not count. */
export function imageTypeOf(bytes: Uint8Array): string | null {
  const found = KINDS.find(({ begins }) => begins.every((byte, at) => bytes[at] === byte));
  if (found?.type === "image/webp" && !WEBP.every((byte, at) => bytes[at + 8] === byte)) return null;
  return found?.type ?? null;
}

/** The address of an image, from that of the part which it is (`.../part?handle=`). */
export function imagePath(partPath: string): string {
  return partPath.replace("/part?", "/image?");
}
