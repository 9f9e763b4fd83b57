/**
 * Levels of objects and lists in what a model gives a tool. No tool has as many. `JSON.stringify` throws at some 5,000, and a model that nests so
 * deep would end serve with all of its sessions.
 */
const MAX_LEVELS = 500;

/** Whether a value from JSON can be written as JSON again, whatever is put around it. */
export function isShallow(value: unknown, levels = MAX_LEVELS): boolean {
  if (typeof value !== "object" || value === null) return true;
  return levels > 0 && Object.values(value).every((part) => isShallow(part, levels - 1));
}
