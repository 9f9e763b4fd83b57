import type { LinkStatus } from "#protocol/script-api.ts";
import { isoDay, isoTime } from "#protocol/iso-time.ts";

/**
 * A machine's link key and link token in words, a line each. `own`: the fingerprint of this computer's key, or `null` without one.
 * `undefined` comes from an Operator before 0.3, which knows no keys.
 */
export function describeLink(link: LinkStatus | undefined, own: string | null): string[] {
  if (link === undefined) return ["link key: not bound; this Operator is older than link keys"];
  const { key, tokenExpiresMs } = link;
  const bound =
    key === null
      ? "link key: not bound; run this codez as the connector, and it is"
      : key === own
        ? `link key: bound to this computer (${key})`
        : `link key: bound to another computer or key (${key})`;
  const expiry =
    tokenExpiresMs === null
      ? "link token: does not expire until it is renewed, which needs a link key"
      : `link token: valid until ${isoDay(tokenExpiresMs)}, ${key === null ? "and renewed once the link key is bound" : "renewed by itself while connected"}`;
  return [bound, expiry];
}

/** What a person must know about a machine's link at once; empty if nothing. */
export function linkWarnings(name: string, link: LinkStatus | null | undefined): string[] {
  const { refused = null, takenOverMs = null } = link ?? {};
  return [
    ...(refused === null
      ? []
      : [
          `Somebody showed the link token of "${name}" ${refused.count === 1 ? "once" : `${refused.count} times`} without its key, last at ${isoTime(refused.lastMs)}. The token was copied. On that machine run: codez rotate ${name}`,
        ]),
    ...(takenOverMs === null
      ? []
      : [
          `"${name}" passed to another computer or link key on ${isoDay(takenOverMs)}. If that was not you: codez restore ${name}`,
        ]),
  ];
}
