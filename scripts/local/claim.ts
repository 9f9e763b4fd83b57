import { request } from "node:http";
import * as z from "zod";

const Claim = z.object({ claimable: z.boolean() });

/** Looking must not hold up the start. Milliseconds. */
const TIMEOUT_MS = 5_000;

/** Whether an Operator still waits for its owner. One that does not say is taken to have one. */
export async function isClaimable({ gate, url }: { readonly gate: string; readonly url: string }): Promise<boolean> {
  try {
    return Claim.parse(JSON.parse(await ask(gate, new URL("/api/claim", url)))).claimable;
  } catch {
    return false; // with MCPAuthKit there is no claim; and a hint is not worth failing for
  }
}

/** Asks the gate directly: its public address may not lead back here. */
function ask(gate: string, { host, pathname }: URL): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { socketPath: gate, path: pathname, headers: { host }, signal: AbortSignal.timeout(TIMEOUT_MS) };
    const asked = request(options, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (chunk: string) => (text += chunk));
      answer.on("end", () => resolve(text));
      answer.on("error", reject);
    });
    asked.on("error", reject);
    asked.end();
  });
}
