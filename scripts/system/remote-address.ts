/**
 * The address of a git remote without the password or token in it, because remote clients are shown it. It is read more loosely than git reads
 * it, so that no spelling keeps a secret: with an `@` in the password, or its colon encoded; behind a helper's name (`codecommit::https://`); in
 * any scheme, or with a mistake in it. A name alone stays where it is no secret (`ssh://git@host`). Over HTTP it may be a token.
 */
export function withoutCredentials(remote: string): string {
  const [start, scheme] = /^(?:[\w-]+::)*([\w+.-]+):[/\\]{2,}/.exec(remote) ?? [];
  // A path, or scp-like `git@host:path`. Neither has a password, but somebody may have put one there: `https:/me:secret@host`.
  if (start === undefined) return remote.replace(/(^|[/\\])[^/\\@:]*:[^/\\]+@/, "$1");
  const rest = remote.slice(start.length);
  const inHost = /^[^/\\]*@/.exec(rest)?.[0];
  // Nobody, git included, finds a host in such an address. What stands before its last @ may still be a secret.
  const credentials = inHost ?? (URL.canParse(`${scheme}://${rest}`) ? "" : (/^.*@/s.exec(rest)?.[0] ?? ""));
  const isName = !/:|%3a/i.test(credentials) && !/^https?$/i.test(scheme ?? "");
  return isName ? remote : start + rest.slice(credentials.length);
}
