import { CodezFailure } from "../failure.ts";
import { presenceOf } from "../link-status.ts";
import type { OperatorClient } from "../operator-client.ts";
import type { Profile } from "../profile/profile.ts";

/** The registry learns of a link within milliseconds. On Cloudflare a new script takes seconds to reach all locations. */
const PROOF_TIMEOUT_MS = 30_000;
const ASK_AGAIN_MS = 500;

/** Whether calls arrive, and a sentence that says how it was seen. */
export type Proof = { readonly proven: boolean; readonly detail: string };

/**
 * Proves from outside that the machine is reached. With a sign-in at hand, a tool call goes through Operator's public `/mcp` to
 * the machine's server and back. Without one, the machine's script is asked at its public address whether it sees the link.
 */
export async function proveByCall(operator: OperatorClient | null, profile: Profile): Promise<Proof> {
  const deadlineMs = Date.now() + PROOF_TIMEOUT_MS;
  for (;;) {
    try {
      if (operator !== null) {
        const tools = await operator.toolsAtMcp(profile.name);
        const reached = `a call through ${profile.hub}/mcp reached "${profile.name}" and came back`;
        return { proven: true, detail: `${reached}: its server has ${tools} tools` };
      }
      if ((await presenceOf(profile)).online)
        return { proven: true, detail: `${profile.hub} sees "${profile.name}" online` };
      if (Date.now() >= deadlineMs)
        return { proven: false, detail: `${profile.hub} does not see "${profile.name}" online` };
    } catch (reason) {
      if (!(reason instanceof CodezFailure)) throw reason;
      if (Date.now() >= deadlineMs) return { proven: false, detail: reason.message };
    }
    await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
  }
}
