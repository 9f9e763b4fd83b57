import { knowsOwnerToken } from "../system/owner-proof.ts";
import { NotPrivate, readOwnerTokens } from "../system/owner-token.ts";

/**
 * Why what answers at a link's address must not have this machine; `null` if it may. Whoever has the other end of the link calls the machine's
 * server, and decides what its sessions ask. With TLS the address is proof enough. But on this computer any user's program could have Operator's
 * port while that does not run: an Operator that stored its owner's token here has to prove that it knows it, before each dial.
 */
export async function whyNotDial(linkUrl: string): Promise<string | null> {
  const { protocol, host } = new URL(linkUrl);
  if (protocol !== "ws:") return null;
  const origin = `http://${host}`;
  try {
    const tokens = readOwnerTokens(origin);
    if (tokens.length === 0) return null;
    for (const token of tokens) if (await knowsOwnerToken(origin, token)) return null;
    return `this computer's Operator does not answer at ${origin}`;
  } catch (reason) {
    if (reason instanceof NotPrivate) return reason.message;
    throw reason;
  }
}
