/**
 * Calls `end` when a request's client leaves. The runtime then stops the request's code wherever it is: no promise of it settles any more, and no
 * `finally` runs. What an isolate counts or keeps for a request must therefore be given back here as well as at its end, so `end` must bear
 * being called twice.
 */
export function onClientLeft({ signal }: Pick<Request, "signal">, end: () => void): void {
  if (signal.aborted) end();
  else signal.addEventListener("abort", end, { once: true });
}
