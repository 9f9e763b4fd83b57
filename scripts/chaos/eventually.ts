import { setTimeout as sleep } from "node:timers/promises";

const LOOK_MS = 100;

/** Seconds until `isTrue` returns true, or `null` if it does not within the limit. An attempt that throws counts as false. */
export async function eventually(limitMs: number, isTrue: () => Promise<boolean> | boolean): Promise<number | null> {
  const beganMs = performance.now();
  for (;;) {
    try {
      if (await isTrue()) return (performance.now() - beganMs) / 1000;
    } catch {
      // Not yet: the fault may still affect the part that is asked.
    }
    if (performance.now() - beganMs > limitMs) return null;
    await sleep(LOOK_MS);
  }
}
