import type { Caller } from "../http/caller.ts";

/**
 * Whose keys a caller's are. Keys of different apps and tokens are different, so that none meets another's by chance. The owner's token of a
 * local start has no id.
 */
export function deliveryScopeOf({ credential, client }: Caller): string {
  return credential ?? `client:${client}`;
}
