import * as z from "zod";

const Claim = z.object({ claimable: z.boolean() });

/** Looking must not hold up the start. Milliseconds. */
const TIMEOUT_MS = 5_000;

/** Whether an Operator still waits for its owner. One that does not say is taken to have one. */
export async function isClaimable(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/api/claim`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    return Claim.parse(await response.json()).claimable;
  } catch {
    return false; // with MCPAuthKit there is no claim; and a hint is not worth failing for
  }
}
