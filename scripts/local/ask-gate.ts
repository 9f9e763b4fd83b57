import { request } from "node:http";
import { SCHEME_HEADER } from "../front/edge-headers.ts";

/** The gate answers within milliseconds; after this it counts as hung. */
const TIMEOUT_MS = 5_000;

/** Path of the gate's Unix socket, and the URL that clients use. */
export type Gate = { readonly gate: string; readonly url: string };

export type GateAnswer = { readonly status: number; readonly text: string };

/** Sends a GET to the gate over its Unix socket. Its public address may not be reachable from here (no hairpin NAT). */
export function askGate({ gate, url }: Gate, path: string): Promise<GateAnswer> {
  const { host, protocol } = new URL(url);
  const headers = { host, [SCHEME_HEADER]: protocol.slice(0, -1) };
  return new Promise((resolve, reject) => {
    const options = { socketPath: gate, path, headers, signal: AbortSignal.timeout(TIMEOUT_MS) };
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
