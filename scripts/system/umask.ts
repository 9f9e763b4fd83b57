/** The part of a umask that is about the group and others. */
const OTHERS = 0o077;

/**
 * Makes every file that this process and its children create from now on private to its user, whatever the umask was: workerd and SQLite, for
 * example, leave the mode of their files to it. For programs that write secrets and nothing for others.
 */
export function createPrivately(): void {
  process.umask(OTHERS);
}

/**
 * Lets this user read and write what this process creates from now on. With a umask that takes these rights from the owner (0777), the files that a
 * command has just written could not be read by the next one. What the group and others may is left alone: other programs run as children here,
 * and make files in people's repositories.
 */
export function keepOwnRights(): void {
  process.umask(process.umask(OTHERS) & OTHERS);
}
