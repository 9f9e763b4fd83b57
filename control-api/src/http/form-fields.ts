/**
 * Fields of one form. The largest form on our pages has one for each machine and a few more. The runtime takes microseconds and some hundred bytes
 * for each field, and a body of 1 MB could have half a million of them.
 */
export const MAX_FORM_FIELDS = 2_000;

const [AMPERSAND, LINE_FEED, HYPHEN] = [0x26, 0x0a, 0x2d];

/** Whether a body is a form with more fields than any of our pages sends. Every field but the first follows one of what is counted here. */
export function hasTooManyFields(bytes: Uint8Array, contentType: string | null): boolean {
  if (contentType === null) return false;
  if (/urlencoded/i.test(contentType)) return hasMoreThan(MAX_FORM_FIELDS, bytes, AMPERSAND);
  // Each part begins with two hyphens at the beginning of a line. A file hardly ever has as many such lines as this.
  if (/multipart/i.test(contentType))
    return hasMoreThan(MAX_FORM_FIELDS, bytes, LINE_FEED, (at) => bytes[at + 1] === HYPHEN && bytes[at + 2] === HYPHEN);
  return false;
}

function hasMoreThan(
  most: number,
  bytes: Uint8Array,
  byte: number,
  counts: (at: number) => boolean = () => true,
): boolean {
  let found = 0;
  for (let at = bytes.indexOf(byte); at !== -1; at = bytes.indexOf(byte, at + 1)) {
    if (!counts(at)) continue;
    found += 1;
    if (found > most) return true;
  }
  return false;
}
