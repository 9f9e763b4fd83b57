/** As long as `expect.poll` waits (vitest.config.ts). A busy computer of two cores does all that tests wait for in a fraction of this. */
const LATE_MS = 20_000;

/** The promise's value. If it does not come, a test fails with what it waits for, and not with its own time limit. */
export async function awaited<Value>(what: string, promise: Promise<Value>): Promise<Value> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`${what}: not within ${LATE_MS / 1_000} s`)), LATE_MS);
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
