/**
 * The page to redirect to after sign-in: one of our own, by path. Anything else becomes the overview, since an open redirect would
 * let a link to our sign-in page lead to a phishing site. Backslashes are refused because browsers read `/\host` as `//host`, another
 * site. The path is looked up after parsing, because `/pair/../x` also begins with `/pair`.
 */
export function nextAfter(next: unknown): string {
  if (typeof next !== "string" || next.length > 8_192 || /[\\\p{Cc}]/u.test(next)) return OVERVIEW;
  if (!/^\/(?!\/)/.test(next)) return OVERVIEW;
  // A header may carry ASCII only, so everything else is percent-encoded.
  const { pathname, search, hash } = new URL(next, "http://operator.invalid");
  return PAGE.test(pathname) ? pathname + search + hash : OVERVIEW;
}

const OVERVIEW = "/";

/** Pages by path. Machines and sessions have pages below theirs; a session's id may contain any character, percent-encoded. */
const PAGE =
  /^\/(?:account|audit|connect|costs|inbox(?:\/\d{1,15})?|notifications|pair|retention|oauth\/authorize|(?:machines|sessions)(?:\/[\w.~!$&'()*+,;=:@%-]+){0,3})?$/;
