import { request } from "node:http";

/** Nobody waits for longer to hear that the gate is busy or gone. Milliseconds. */
const TIMEOUT_MS = 5_000;

/** Where an Operator's gate is, and the address by which clients know it. */
export type Gate = { readonly gate: string; readonly url: string };

export type GateAnswer = { readonly status: number; readonly text: string };

/** Asks the gate directly, over its Unix socket: its public address may not lead back here. */
export function askGate({ gate, url }: Gate, path: string): Promise<GateAnswer> {
  const { host } = new URL(url);
  return new Promise((resolve, reject) => {
    const options = { socketPath: gate, path, headers: { host }, signal: AbortSignal.timeout(TIMEOUT_MS) };
    const asked = request(options, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (chunk: string) => (text += chunk));
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text }));
      answer.on("error", reject);
    });
    asked.on("error", reject);
    asked.end();
  });
}
