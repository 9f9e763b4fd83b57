/**
 * Whom `AUTHKIT_ALLOW` lets in: subjects and e-mail addresses, parted by commas or spaces. The first is the owner, whose
 * machines have plain names. Empty: everybody whom MCPAuthKit knows, each on their own, and nobody is the owner.
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
