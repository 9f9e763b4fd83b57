import type { InboxItem } from "./inbox-item.ts";

type Settled = Pick<InboxItem, "machine" | "decision"> & { readonly settled: NonNullable<InboxItem["settled"]> };

/**
 * Who settled a request, for a person. A machine says what stands here, so an unknown word is shown as it is. That a person decided on a
 * page is known here, too: a machine that claims it of its own accord must not put words into that person's mouth.
 */
export function settlerText({ settled: { by, who }, machine, decision }: Settled): string {
  switch (by) {
    case "operator":
      if (decision?.by.via !== "page")
        return `somebody on a page of another Operator, as machine "${machine}" says: ${who ?? "without a name"}`;
      return decision.by.name;
    case "client":
      if (decision?.by.via === "form") return decision.by.name;
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
