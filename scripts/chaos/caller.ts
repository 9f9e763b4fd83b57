import { request } from "node:http";
import type { Call, Ledger, Outcome } from "./ledger.ts";
import type { MachineProcess } from "./machine-process.ts";
import type { OperatorProcess } from "./operator-process.ts";
import type { Random } from "../system/random.ts";

/** Longest time for which a call's tool works. */
const WORK_MS = 1_500;

/**
 * Every call must have ended by then, whatever broke. It covers the tool's own work, the silence after which a frozen link is
 * closed (55 s), and a margin for a busy computer.
 */
const CALL_BOUND_MS = 90_000;

const LARGE_BYTES = 300_000;

let next = 0;

/** Makes one `tools/call` with a random path and size, and records its outcome in the ledger. */
export async function makeCall(
  operator: OperatorProcess,
  machine: MachineProcess,
  ledger: Ledger,
  random: Random,
): Promise<void> {
  const id = `call-${(next += 1)}`;
  const way = random.chance(0.5) ? "machine" : "unified";
  const work = {
    id,
    delayMs: random.chance(0.3) ? random.integer(1, WORK_MS) : 0,
    bytes: random.chance(0.1) ? random.integer(1, LARGE_BYTES) : 0,
    stream: random.chance(0.3),
  };
  const hangsUpAfterMs = random.chance(0.05) ? random.integer(1, WORK_MS) : null;
  const call = ledger.begin({ id, machine: machine.name, way, startedMs: performance.now() });
  const inner = { name: "work", arguments: work };
  const params = way === "machine" ? inner : { name: "call_tool", arguments: { machineId: machine.name, ...inner } };
  const path = way === "machine" ? `/m/${machine.name}/mcp` : "/mcp";
  const body = JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params });
  ledger.end(call, await send(operator, path, body, call, `${id} ${"x".repeat(work.bytes)}`, hangsUpAfterMs));
}

/** Sends the request and reads the whole answer. Never throws: failures are outcomes. */
function send(
  operator: OperatorProcess,
  path: string,
  body: string,
  call: Call,
  expected: string,
  hangsUpAfterMs: number | null,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const outgoing = request(`${operator.url}${path}`, {
      method: "POST",
      agent: false,
      headers: { ...operator.mcpHeaders, "content-length": Buffer.byteLength(body) },
    });
    const settle = (outcome: Outcome): void => {
      clearTimeout(bound);
      clearTimeout(hangUp);
      resolve(outcome);
      outgoing.destroy();
    };
    const bound = setTimeout(() => settle({ kind: "hung" }), CALL_BOUND_MS);
    const hangUp =
      hangsUpAfterMs === null ? undefined : setTimeout(() => settle({ kind: "abandoned" }), hangsUpAfterMs);
    outgoing.on("error", (reason) => settle({ kind: "broken", reason: reason.message }));
    outgoing.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (text += chunk));
      response.on("error", (reason) => settle({ kind: "broken", reason: reason.message }));
      response.on("end", () => settle(outcomeOf(text, response.statusCode ?? 0, call, expected)));
    });
    outgoing.end(body);
  });
}

/** Operator's own error object, which has the same shape in all of its answers. */
type Details = { code?: unknown; message?: string; mayHaveRun?: boolean };

type Answer = {
  id?: unknown;
  result?: { isError?: boolean; content?: { text?: string }[]; structuredContent?: { error?: Details } };
  error?: Details & { data?: Details };
};

/** How much of a wrong answer is shown, from its beginning and its end: enough to see whether it was cut. */
const SHOWN_CHARACTERS = 100;

function outcomeOf(text: string, status: number, { id }: Call, expected: string): Outcome {
  const messages = text.includes("\ndata: ") || text.startsWith("data: ") ? eventsOf(text) : [text];
  for (const message of messages) {
    const parsed = parse(message);
    if (parsed === null) continue;
    // REST errors and errors for unreadable bodies have no id; they still answer this request.
    const bare = parsed.id === undefined ? errorOf(parsed.error) : null;
    if (bare !== null) return bare;
    if (parsed.id !== id && parsed.id !== null) continue;
    const error = errorOf(
      parsed.error?.data ?? (parsed.result?.isError ? parsed.result.structuredContent?.error : undefined),
    );
    if (error !== null) return error;
    if (parsed.result?.content?.[0]?.text === expected) return { kind: "answered" };
  }
  const cut = `${text.slice(0, SHOWN_CHARACTERS)} ... ${text.slice(-SHOWN_CHARACTERS)}`;
  return { kind: "wrong", got: `HTTP ${status}, ${text.length} characters: ${cut}` };
}

function errorOf(details: Details | undefined): Outcome | null {
  if (typeof details?.code !== "string") return null;
  const { code, message = "", mayHaveRun = false } = details;
  return { kind: "error", code, message, mayHaveRun };
}

function eventsOf(text: string): string[] {
  return text.split("\n").flatMap((line) => (line.startsWith("data: ") ? [line.slice("data: ".length)] : []));
}

function parse(text: string): Answer | null {
  try {
    return JSON.parse(text) as Answer;
  } catch {
    return null; // a page, or half an answer
  }
}
