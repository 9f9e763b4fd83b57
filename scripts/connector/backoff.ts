import { RECONNECT_MAX_MS, RECONNECT_MIN_MS } from "#protocol/limits.ts";

/**
 * How long to wait after this many failures. A random time below a ceiling ("full jitter"), so that a thousand machines which
 * lost their Operator at the same moment do not all come back at the same moment. The ceiling doubles from 0.5 s to `maxMs`.
 *
 * @param random in [0, 1)
 */
export function backoffMs(failures: number, random: () => number, maxMs: number = RECONNECT_MAX_MS): number {
  const ceiling = Math.min(maxMs, RECONNECT_MIN_MS * 2 ** Math.min(failures, 30));
  return random() * ceiling;
}
