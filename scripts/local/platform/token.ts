import { createHash, timingSafeEqual } from "node:crypto";

/** Whether the `Authorization` header contains the token. Digests are compared, because timingSafeEqual() needs equal lengths. */
export function bears(authorization: string | null | undefined, token: string): boolean {
  const [scheme, given] = authorization?.split(" ") ?? [];
  if (scheme?.toLowerCase() !== "bearer" || given === undefined) return false;
  return timingSafeEqual(digest(given), digest(token));
}

function digest(value: string): Buffer {
  return createHash("sha256").update(value).digest();
}
