/**
 * A sign-in is fresh for this long. Within it a person may make changes that give lasting access: add a passkey, make a token, allow
 * an app or a computer, invite or remove somebody, and say what may answer permission requests. Somebody who finds a browser signed
 * in, or a stolen cookie, cannot. A quarter of an hour is enough to set up a computer without being asked twice. Milliseconds.
 */
export const FRESH_MS = 15 * 60_000;
