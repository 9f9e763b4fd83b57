import * as z from "zod";
import { askGate, type Gate } from "./ask-gate.ts";

const Claim = z.object({ claimable: z.boolean() });

/** Whether this Operator can still be claimed by its owner. `false` if the gate gives no answer to that. */
export async function isClaimable(gate: Gate): Promise<boolean> {
  try {
    return Claim.parse(JSON.parse((await askGate(gate, "/api/claim")).text)).claimable;
  } catch {
    return false; // with MCPAuthKit there is nothing to claim, and a start must not fail for a hint in the banner
  }
}
