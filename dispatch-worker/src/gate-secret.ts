import type { Env } from "./env.ts";

const encoder = new TextEncoder();

/** Whether `shown` is one of the live secrets. Takes the same time whatever is shown, and whichever it matches. */
export function isGateSecret(shown: string | null, env: Env): boolean {
  const given = encoder.encode(shown ?? "");
  const isCurrent = isEqual(given, env.DISPATCH_SECRET);
  const isPrevious = isEqual(given, env.DISPATCH_SECRET_PREVIOUS ?? "");
  return isCurrent || isPrevious;
}

/** Of another length, it is compared with itself, so that the time tells nothing (Workers, "timingSafeEqual"). An empty secret is none. */
function isEqual(given: Uint8Array, secret: string): boolean {
  const expected = encoder.encode(secret);
  const isSameLength = given.length === expected.length && expected.length > 0;
  const isSame = crypto.subtle.timingSafeEqual(given, isSameLength ? expected : given);
  return isSame && isSameLength;
}
