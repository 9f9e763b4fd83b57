import { RECONNECT_MAX_MS, RECONNECT_MIN_MS } from "#protocol/limits.ts";

/**
 * How long to wait before dial number `failures + 1`: full jitter, so that a thousand machines that lost their
 * Operator at the same moment do not come back at the same moment. The ceiling doubles from 0.5 s to 30 s.
 *
 * @param random in [0, 1)
 */
export function backoffMs(failures: number, random: () => number): number {
  const ceiling = Math.min(RECONNECT_MAX_MS, RECONNECT_MIN_MS * 2 ** Math.min(failures, 30));
  return random() * ceiling;
}
