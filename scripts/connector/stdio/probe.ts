import { parseJson } from "#protocol/json.ts";
import { Child, type ChildListener, type ChildSpec, type Ended } from "./child.ts";
import { RpcMessage } from "./rpc-message.ts";

const MODERN = "2026-07-28";
const LEGACY = "2025-11-25";

/** A server of the 2025 revisions may not answer an unknown request. After this time it is asked in the old way as well. */
const SILENCE_MS = 2_000;

/** Time limit for the answer. The first `npx` of a server has to download it. */
const PROBE_TIMEOUT_MS = 120_000;

const CLIENT = { name: "codez", version: "1" };
const META = {
  "io.modelcontextprotocol/protocolVersion": MODERN,
  "io.modelcontextprotocol/clientInfo": CLIENT,
  "io.modelcontextprotocol/clientCapabilities": {},
};
const DISCOVER = { jsonrpc: "2.0", id: "codez-discover", method: "server/discover", params: { _meta: META } };
const INITIALIZE = {
  jsonrpc: "2.0",
  id: "codez-initialize",
  method: "initialize",
  params: { protocolVersion: LEGACY, capabilities: {}, clientInfo: CLIENT },
};

/** The era of a server. The child of a modern one stays alive, and `adopt` takes it over. */
export type Verdict =
  | { era: "modern"; adopt: (listener: ChildListener) => Child }
  | { era: "legacy" }
  | { era: "unknown"; why: string };

/**
 * Starts the server and asks which revision it speaks. Never throws; returns within `PROBE_TIMEOUT_MS`, and soon after `signal` is
 * aborted.
 */
export async function probe(spec: ChildSpec, signal: AbortSignal): Promise<Verdict> {
  let hear: (line: Buffer) => void = () => undefined;
  let end: (ended: Ended) => void = () => undefined;
  let stopped: () => void = () => undefined;
  let gone: Ended | null = null;
  const child = new Child(spec, {
    line: (line) => hear(line),
    ended: (ended) => {
      gone = ended;
      end(ended);
    },
  });
  const timers: NodeJS.Timeout[] = [];
  const verdict = await new Promise<"modern" | "legacy" | { why: string }>((resolve) => {
    hear = (line) => {
      const message = RpcMessage.read(line);
      if (message === null || !message.isResponse) return;
      if (message.id === '"codez-initialize"') resolve("legacy");
      else if (message.id === '"codez-discover"') resolve(eraOf(message));
    };
    end = ({ why }) => resolve({ why });
    child.write(`${JSON.stringify(DISCOVER)}\n`);
    timers.push(setTimeout(() => child.write(`${JSON.stringify(INITIALIZE)}\n`), SILENCE_MS));
    timers.push(setTimeout(() => resolve({ why: "it did not answer" }), PROBE_TIMEOUT_MS));
    stopped = () => resolve({ why: "its connector is ending" });
    signal.addEventListener("abort", stopped, { once: true });
  });
  signal.removeEventListener("abort", stopped);
  for (const timer of timers) clearTimeout(timer);
  if (verdict === "modern") {
    const adopt = (listener: ChildListener): Child => {
      hear = (line) => listener.line(line);
      end = (ended) => listener.ended(ended);
      if (gone !== null) setImmediate(end, gone);
      return child;
    };
    return { era: "modern", adopt };
  }
  await child.end("it was started only to find out its revision");
  return verdict === "legacy" ? { era: "legacy" } : { era: "unknown", why: verdict.why };
}

/**
 * The era according to an answer. An error, or a list without a modern revision, means that the server needs the handshake of
 * 2025.
 */
function eraOf(message: RpcMessage): "modern" | "legacy" {
  const versions = parseJson(message.at("result", "supportedVersions") ?? "[]");
  const isModern = (version: unknown): boolean => typeof version === "string" && version >= MODERN;
  return Array.isArray(versions) && versions.some(isModern) ? "modern" : "legacy";
}
