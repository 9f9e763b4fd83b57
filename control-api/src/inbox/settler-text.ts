import type { Settlement } from "#protocol/ask.ts";

/** Who settled a request, for a person. A machine says what stands here, so an unknown word is shown as it is. */
export function settlerText({ by, who }: Settlement, machine: string): string {
  switch (by) {
    case "operator":
      return who ?? "a person on a page of Operator";
    case "client":
      return "an MCP client that may answer for this machine";
    case "machine":
      return `somebody at machine "${machine}"`;
    case "terminal":
      return `somebody in the terminal on machine "${machine}"`;
    case "expiry":
      return "nobody: its time was up";
    case "agent":
      return "nobody: the turn ended";
    case "restart":
      return "nobody: codez serve was restarted";
    case "machine_gone":
      return "nobody: its machine was removed";
    default:
      return by;
  }
}
