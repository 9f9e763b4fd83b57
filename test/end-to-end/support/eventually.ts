import { setTimeout as sleep } from "node:timers/promises";

/** Past this a wait has failed. A guard against hanging, far above what anything here takes; never a measurement. */
const GIVE_UP_MS = 90_000;

const LOOK_AGAIN_MS = 20;

/** Resolves with the first value that `probe` gives other than `undefined`. */
export async function eventually<Value>(
  what: string,
  probe: () => Promise<Value | undefined> | Value | undefined,
): Promise<Value> {
  const deadlineMs = Date.now() + GIVE_UP_MS;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (Date.now() > deadlineMs) throw new Error(`never happened: ${what}`);
    await sleep(LOOK_AGAIN_MS);
  }
}

/** Resolves once `holds` does. */
export async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  await eventually(what, async () => ((await holds()) ? true : undefined));
}

/** The promise's value, or an error that says what did not come. */
export async function within<Value>(ms: number, what: string, promise: Promise<Value>): Promise<Value> {
  const timer = new AbortController();
  try {
    return await Promise.race([
      promise,
      sleep(ms, undefined, { signal: timer.signal }).then(() => {
        throw new Error(`${what} took longer than ${ms} ms`);
      }),
    ]);
  } finally {
    timer.abort();
  }
}
