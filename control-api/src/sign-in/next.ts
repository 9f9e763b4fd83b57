/** Where someone who has signed in may be sent on to: our own pages, by path. Anything else becomes the account page. */
export function nextAfter(next: unknown): string {
  if (typeof next !== "string" || next.length > 8_192 || /[\\\p{Cc}]/u.test(next)) return ACCOUNT;
  if (!["/oauth/authorize?", "/pair", "/account"].some((start) => next.startsWith(start))) return ACCOUNT;
  // A header may carry ASCII only, so everything else is percent-encoded.
  const { pathname, search } = new URL(next, "http://operator.invalid");
  return PATHS.has(pathname) ? pathname + search : ACCOUNT;
}

const ACCOUNT = "/account";
const PATHS: ReadonlySet<string> = new Set(["/oauth/authorize", "/pair", ACCOUNT]);
