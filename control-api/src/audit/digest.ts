import { hashOf } from "../sign-in/secret.ts";

/** SHA-256, hex, of a JSON value with sorted keys: the same for the same arguments, in whatever order they came. */
export function digestOf(value: unknown): Promise<string> {
  return hashOf(JSON.stringify(sorted(value)) ?? "null");
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  // fromEntries, unlike assignment, takes a key named __proto__ for what it is
  const keys = Object.keys(value).toSorted();
  return Object.fromEntries(keys.map((key) => [key, sorted((value as Record<string, unknown>)[key])]));
}
