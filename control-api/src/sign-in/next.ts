/**
 * The page to redirect to after sign-in: one of our own, by path. Anything else becomes the account page, since an open redirect
 * would let a link to our sign-in page lead to a phishing site. Backslashes are refused because browsers read `/\host` as
 * `//host`, another site. The path is compared again after parsing because `/pair/../x` also begins with `/pair`.
 */
export function nextAfter(next: unknown): string {
  if (typeof next !== "string" || next.length > 8_192 || /[\\\p{Cc}]/u.test(next)) return ACCOUNT;
  if (!["/oauth/authorize?", "/pair", "/account", "/inbox"].some((start) => next.startsWith(start))) return ACCOUNT;
  // A header may carry ASCII only, so everything else is percent-encoded.
  const { pathname, search } = new URL(next, "http://operator.invalid");
  return PATHS.has(pathname) ? pathname + search : ACCOUNT;
}

const ACCOUNT = "/account";
const PATHS: ReadonlySet<string> = new Set(["/oauth/authorize", "/pair", ACCOUNT, "/inbox"]);
