import * as z from "zod";
import { askGate, type Gate } from "./ask-gate.ts";

const Claim = z.object({ claimable: z.boolean() });

/** Whether an Operator still waits for its owner. One that does not say is taken to have one. */
export async function isClaimable(gate: Gate): Promise<boolean> {
  try {
    return Claim.parse(JSON.parse((await askGate(gate, "/api/claim")).text)).claimable;
  } catch {
    return false; // with MCPAuthKit there is no claim; and a hint is not worth failing for
  }
}
