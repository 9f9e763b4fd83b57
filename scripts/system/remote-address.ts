/**
 * The address of a git remote without the password or token in it, because remote clients are shown it. It is read more loosely than git reads
 * it, so that no spelling keeps a secret: in quotes, as git writes an address with a `#`; with an `@` in the password; behind a helper's name
 * (`codecommit::https://`); in any scheme. A name alone stays where it is no secret (`ssh://git@host`). Over HTTP it may be a token.
 */
export function withoutCredentials(remote: string): string {
  const address = /^"(.*)"$/.exec(remote)?.[1]?.replaceAll(/\\(["\\])/g, "$1") ?? remote;
  const [start, scheme] = /^(?:[\w-]+::)*([\w+.-]+):[/\\]{2,}/.exec(address) ?? [];
  if (start === undefined) return address; // a path, or scp-like `git@host:path`, which has no password
  const rest = address.slice(start.length);
  const inHost = /^[^/\\]*@/.exec(rest)?.[0];
  // Nobody, git included, finds a host in such an address. What stands before its last @ may still be a secret.
  const credentials = inHost ?? (URL.canParse(`${scheme}://${rest}`) ? "" : (/^.*@/s.exec(rest)?.[0] ?? ""));
  const isName = !credentials.includes(":") && !/^https?$/i.test(scheme ?? "");
  return isName ? address : start + rest.slice(credentials.length);
}
