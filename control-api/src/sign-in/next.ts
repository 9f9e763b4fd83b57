/** Where someone who has signed in may be sent on to: our own pages, by path. Anything else becomes the account page. */
export function nextAfter(next: unknown): string {
  if (typeof next !== "string" || next.length > 8_192 || /[\\\p{Cc}]/u.test(next)) return ACCOUNT;
  return ["/oauth/authorize?", "/pair", "/account"].some((start) => next.startsWith(start)) ? next : ACCOUNT;
}

const ACCOUNT = "/account";
