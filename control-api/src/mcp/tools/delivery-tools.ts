import type { CallToolResult } from "@modelcontextprotocol/server";
import { boundedSession } from "#protocol/bounded.ts";
import { hex, sha256, utf8 } from "#protocol/bytes.ts";
import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { KEYS_CAPABILITY } from "#protocol/control.ts";
import { REPLACES } from "#protocol/coding-tools/coding-tool.ts";
import { type OperatorError, OperatorFailure } from "#protocol/error.ts";
import { isRecord, parseJson } from "#protocol/json.ts";
import { structuredResult } from "#protocol/tool-result.ts";
import type { DeliveryRecord } from "../../delivery/delivery.ts";
import { deliveryScopeOf } from "../../delivery/delivery-scope.ts";
import { deliveryView } from "../../delivery/delivery-view.ts";
import { DEFAULT_QUEUE_MS, MAX_QUEUE_MS, MAX_QUEUED_BYTES } from "../../delivery/limits.ts";
import type { MachineRecord } from "../../machines/machine-record.ts";
import { registryOf } from "../../user/user-rpc.ts";
import { withSessionHandles } from "../session-result.ts";
import { invalid, type Tool, type ToolCall } from "./tool.ts";

/** What Operator knows of calls with a key. */
export const DELIVERY_TOOLS: readonly Tool[] = [
  {
    definition: {
      name: "get_delivery",
      title: "Look up a call",
      description:
        "What became of a send_prompt or create_session with a key: accepted, delivered (to the machine), consumed (by the " +
        "agent), failed, cancelled, expired.",
      // Looking is harmless; cancelling ends something.
      annotations: REPLACES,
      inputSchema: {
        type: "object",
        properties: {
          key: { type: "string", description: "Its key." },
          cancel: { type: "boolean", description: "Cancel it, if it still waits for its machine." },
        },
        required: ["key"],
      },
    },
    run: async (call) => {
      const { env, caller, args } = call;
      const [registry, scope, key] = [registryOf(env, caller.user), deliveryScopeOf(caller), keyOf(call)];
      const found: DeliveryRecord | null = await registry.delivery(scope, key);
      if (found === null || !(caller.machines?.includes(found.machine) ?? true)) throw unknownKey(key);
      if (args["cancel"] !== true) return structuredResult({ delivery: deliveryView(found) });
      const done: { record: DeliveryRecord; isCancelled: boolean } | null = await registry.cancelDelivery(scope, key);
      if (done === null) throw unknownKey(key);
      return structuredResult({ cancelled: done.isCancelled, delivery: deliveryView(done.record) });
    },
  },
];

/** Parameters that send_prompt and create_session have at Operator in addition. */
export const DELIVERY_PARAMETERS = {
  on_offline: { type: "string", enum: ["fail", "queue"] },
  ttl_ms: { type: "number", description: "How long a queued call may wait. Default a day." },
};

/** The tools whose calls can have a key, and wait for their machine. */
const DELIVERED: ReadonlySet<string> = new Set([CODING_TOOLS.send_prompt.name, CODING_TOOLS.create_session.name]);

/** Whether a call is delivered with a record of it, and not just relayed. */
export function isDelivered({ name, args }: ToolCall): boolean {
  return DELIVERED.has(name) && (args["key"] !== undefined || (args["on_offline"] ?? "fail") !== "fail");
}

/**
 * Whether a call is too large to be written down here, and safe without that: its machine knows keys, so a call that is sent twice runs
 * once there. It is relayed with its key, and `get_delivery` knows nothing of it.
 */
export async function isLeftToMachine({ env, caller, args }: ToolCall, machine: string): Promise<boolean> {
  if ((args["on_offline"] ?? "fail") !== "fail" || !isTooLarge(JSON.stringify(args))) return false;
  const record: MachineRecord | null = await registryOf(env, caller.user).machine(machine);
  return record?.facts?.capabilities.includes(KEYS_CAPABILITY) === true;
}

/**
 * Delivers a call, and answers with the machine's own result and what is known of its delivery. A call that waits for its machine has no
 * result yet. Throws `OperatorFailure` for a call that is not queued and did not arrive.
 *
 * @param args the machine's arguments, without what only Operator needs
 */
export async function deliverCall(
  call: ToolCall,
  machine: string,
  { on_offline: onOffline = "fail", ttl_ms: ttlMs = DEFAULT_QUEUE_MS, key: given, ...args }: Record<string, unknown>,
): Promise<CallToolResult> {
  const { env, caller } = call;
  if (onOffline !== "fail" && onOffline !== "queue") invalid("on_offline must be fail or queue.");
  if (typeof ttlMs !== "number" || !(ttlMs > 0)) return invalid("ttl_ms must be a positive number of milliseconds.");
  if (given !== undefined && (typeof given !== "string" || given === "" || given.length > MAX_KEY_CHARACTERS))
    return invalid(`key must be a string of 1 to ${MAX_KEY_CHARACTERS} characters.`);
  const json = JSON.stringify(args);
  if (isTooLarge(json))
    return invalid("A call with a key may have 1 MB at this machine. Leave the key out, or send a smaller attachment.");
  const sent: DeliveryRecord | OperatorError = await registryOf(env, caller.user).send({
    scope: deliveryScopeOf(caller),
    key: typeof given === "string" ? given : crypto.randomUUID(),
    machine,
    tool: call.name,
    digest: hex(await sha256(JSON.stringify([machine, call.name, json]))),
    session: typeof args["session_id"] === "string" ? boundedSession(args["session_id"]) : null,
    args: json,
    isQueued: onOffline === "queue",
    queueMs: Math.min(ttlMs, MAX_QUEUE_MS),
  });
  if ("code" in sent) throw new OperatorFailure(sent);
  return resultOf(sent, call, machine, args);
}

function isTooLarge(json: string): boolean {
  return utf8(json).byteLength > MAX_QUEUED_BYTES;
}

/** The longest key that a machine takes. */
const MAX_KEY_CHARACTERS = 200;

function resultOf(
  record: DeliveryRecord,
  call: ToolCall,
  machine: string,
  args: Record<string, unknown>,
): CallToolResult {
  const delivery = deliveryView(record);
  const answer = parseJson(record.answer ?? "null");
  if (isRecord(answer)) {
    const session = typeof args["session_id"] === "string" ? args["session_id"] : null;
    const result = withSessionHandles(answer as CallToolResult, machine, call.name, session);
    if (result.isError === true || !isRecord(result.structuredContent)) return result;
    return structuredResult({ ...result.structuredContent, delivery });
  }
  if (record.isQueued && record.state === "accepted")
    return structuredResult({ status: "waiting_for_machine", delivery });
  const isOpen = record.state === "accepted" || record.state === "failed";
  const error = isOpen ? parseJson(record.error ?? "null") : null;
  throw new OperatorFailure(
    isRecord(error) && typeof error["code"] === "string"
      ? (error as unknown as OperatorError) // written by attempt.ts from one
      : { code: "machine_failed", machine, reason: `the call was ${record.state} before it was delivered` },
  );
}

function keyOf({ args }: ToolCall): string {
  return typeof args["key"] === "string" ? args["key"] : invalid("key must be a string.");
}

function unknownKey(asked: string): OperatorFailure {
  return new OperatorFailure({
    code: "not_found",
    reason: `There is no call of yours with the key "${asked}". They are kept for a day.`,
  });
}
