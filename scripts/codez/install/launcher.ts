/** The file's name, which is what a person types. */
export const LAUNCHER = "codez";

/**
 * A shell script that starts the program with the Node that installed it or, when that is gone (version managers remove old
 * ones), with the one on the PATH.
 */
export function launcher(node: string, program: string): string {
  return [
    "#!/bin/sh",
    `node=${quoted(node)}`,
    '[ -x "$node" ] || node=node',
    `exec "$node" ${quoted(program)} "$@"`,
    "",
  ].join("\n");
}

/** Quotes for a POSIX shell. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
