/**
 * Whether a call failed because its Durable Object was restarted, as Cloudflare does when it updates its own servers and after a
 * deployment. The next call starts the object again. Such an error does not tell whether the call was carried out, so only what reads is
 * repeated.
 *
 * `durableObjectReset` and `retryable` are how the runtime marks these errors (Durable Objects, "Error handling"). An object that is
 * `overloaded` must not be asked again at once.
 */
export function isRestart(reason: unknown): boolean {
  if (!(reason instanceof Error)) return false;
  const { durableObjectReset, retryable, overloaded } = reason as Error & Record<string, unknown>;
  return overloaded !== true && (durableObjectReset === true || retryable === true);
}

/** Does what only reads, and once more if an object was restarted meanwhile. */
export async function reread<Value>(read: () => Promise<Value>): Promise<Value> {
  try {
    return await read();
  } catch (reason) {
    if (!isRestart(reason)) throw reason;
    console.warn("an object was restarted during a request that reads, trying again", { reason: String(reason) });
    return read();
  }
}
