import { createHash } from "node:crypto";

/**
 * SHA-256, hex, of a JSON value with sorted keys: the same for the same arguments, in whatever order they came.
 * Node's synchronous hash: entries are digested by the batch, and a promise each would cost more than the hash.
 */
export function digestOf(value: unknown): string {
  return createHash("sha256")
    .update(JSON.stringify(sorted(value)) ?? "null")
    .digest("hex");
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  // fromEntries, unlike assignment, takes a key named __proto__ for what it is
  const keys = Object.keys(value).toSorted();
  return Object.fromEntries(keys.map((key) => [key, sorted((value as Record<string, unknown>)[key])]));
}
