/**
 * Fields of one form. The largest form on our pages has one for each machine and a few more. The runtime takes microseconds and some hundred bytes
 * for each field, and a body of 1 MB could have half a million of them.
 */
export const MAX_FORM_FIELDS = 2_000;

const [AMPERSAND, LINE_FEED] = [0x26, 0x0a];

/** Whether a body is a form with more fields than any of our pages sends. Every field but the first follows one of what is counted here. */
export function hasTooManyFields(bytes: Uint8Array, contentType: string | null): boolean {
  if (contentType === null) return false;
  if (/urlencoded/i.test(contentType)) return hasMoreThan(MAX_FORM_FIELDS, bytes, AMPERSAND);
  if (!/multipart/i.test(contentType)) return false;
  const opening = new TextEncoder().encode(`--${boundaryIn(contentType)}`);
  return hasMoreThan(MAX_FORM_FIELDS, bytes, LINE_FEED, (at) =>
    opening.every((byte, index) => bytes[at + 1 + index] === byte),
  );
}

/**
 * The boundary of a form's parts (RFC 2046 section 5.1.1), which begin with it and two hyphens on a line of their own. If its header could be read
 * in another way than this, it is "": then every line that begins with two hyphens counts.
 */
function boundaryIn(contentType: string): string {
  if (contentType.match(/boundary/gi)?.length !== 1) return "";
  const [, quoted, plain] = /;\s*boundary=(?:"([^"\\]*)"|([^\s;",\\]+))\s*$/i.exec(contentType) ?? [];
  return quoted ?? plain ?? "";
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
