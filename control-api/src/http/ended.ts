/** Resolves with `null` when the signal is aborted. */
export function ended(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(null);
    else signal.addEventListener("abort", () => resolve(null), { once: true });
  });
}

/**
 * For a read whose caller may end meanwhile: nobody needs what is read after that, or the error of a read that was cut
 * off. Any other error is a failure.
 */
export function endedBy(signal: AbortSignal): (reason: unknown) => null {
  return (reason) => {
    if (signal.aborted) return null;
    throw reason;
  };
}
