/**
 * What `AUTHKIT_ALLOW` allows a person. It lists subjects and e-mail addresses, separated by commas or spaces; the first is the
 * owner, whose machines have plain names. If it is empty, everyone whom MCPAuthKit knows is a separate user and nobody is the
 * owner. E-mail addresses are compared without regard to case, subjects exactly (OpenID Connect Core section 2).
 */
export function allowanceOf(sub: string, email: string | null, allow: string): "owner" | "user" | "none" {
  const entries = allow.split(/[\s,]+/).filter((entry) => entry !== "");
  if (entries.length === 0) return "user";
  const isThem = (entry: string) =>
    entry === sub || (email !== null && entry.includes("@") && entry.toLowerCase() === email.toLowerCase());
  const at = entries.findIndex(isThem);
  if (at === -1) return "none";
  return at === 0 ? "owner" : "user";
}
