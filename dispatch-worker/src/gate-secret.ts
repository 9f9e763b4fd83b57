import type { Env } from "./env.ts";

const encoder = new TextEncoder();

/** Whether `shown` is one of the live secrets. Takes the same time whatever is shown, and whichever it matches. */
export function isGateSecret(shown: string | null, env: Env): boolean {
  const given = encoder.encode(shown ?? "");
  const isCurrent = isEqual(given, bytesOf(env.DISPATCH_SECRET));
  const isPrevious = isEqual(given, bytesOf(env.DISPATCH_SECRET_PREVIOUS ?? ""));
  return isCurrent || isPrevious;
}

/** The live secrets as bytes; there are never more than two, and they are the isolate's for as long as it lives. */
const encoded = new Map<string, Uint8Array>();

function bytesOf(secret: string): Uint8Array {
  const known = encoded.get(secret);
  if (known !== undefined) return known;
  const bytes = encoder.encode(secret);
  encoded.set(secret, bytes);
  return bytes;
}

/** Of another length, it is compared with itself, so that the time tells nothing (Workers, "timingSafeEqual"). An empty secret is none. */
function isEqual(given: Uint8Array, expected: Uint8Array): boolean {
  const isSameLength = given.length === expected.length && expected.length > 0;
  const isSame = crypto.subtle.timingSafeEqual(given, isSameLength ? expected : given);
  return isSame && isSameLength;
}
