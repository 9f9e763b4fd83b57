import type { Env } from "./env.ts";

const encoder = new TextEncoder();

/** Whether `shown` is one of the two valid secrets. Takes the same time whatever is shown, and whichever secret it matches. */
export function isGateSecret(shown: string | null, env: Env): boolean {
  const given = encoder.encode(shown ?? "");
  const isCurrent = isEqual(given, bytesOf(env.DISPATCH_SECRET));
  const isPrevious = isEqual(given, bytesOf(env.DISPATCH_SECRET_PREVIOUS ?? ""));
  return isCurrent || isPrevious;
}

/** The valid secrets as bytes, cached for the isolate's lifetime. There are at most two of them. */
const encoded = new Map<string, Uint8Array>();

function bytesOf(secret: string): Uint8Array {
  const known = encoded.get(secret);
  if (known !== undefined) return known;
  const bytes = encoder.encode(secret);
  encoded.set(secret, bytes);
  return bytes;
}

/**
 * Compares in constant time. `timingSafeEqual` requires equal lengths, so a value of another length is compared with itself: the
 * time then depends only on what the caller sent (Workers, "timingSafeEqual"). An empty secret never matches.
 */
function isEqual(given: Uint8Array, expected: Uint8Array): boolean {
  const isSameLength = given.length === expected.length && expected.length > 0;
  const isSame = crypto.subtle.timingSafeEqual(given, isSameLength ? expected : given);
  return isSame && isSameLength;
}
