import { printable } from "#protocol/printable.ts";

/**
 * Prints a line for a person, or several. Others wrote parts of some of them (machines, servers, clients, models, an Operator). Each is one line
 * whatever is in it: a line break is shown as `\n`, so nobody else's text can pass for a line of ours.
 */
export function print(lines: string | readonly string[]): void {
  console.log(shown(lines));
}

/** The same on standard error, where results do not go. */
export function tell(lines: string | readonly string[]): void {
  console.error(shown(lines));
}

function shown(lines: string | readonly string[]): string {
  return [lines].flat().map(printable).join("\n");
}
