import type { CallToolResult } from "@modelcontextprotocol/server";
import { OperatorFailure } from "#protocol/error.ts";
import { POLL_MS } from "#protocol/limits.ts";
import { poll } from "../../events/poll.ts";
import { selectionOf } from "../../events/selection.ts";
import { summaryOf } from "../../machines/machine-summary.ts";
import { detailOf } from "../../machines/machine-detail.ts";
import { registryOf } from "../../user/user-rpc.ts";
import type { MachineRecord } from "../../machines/machine-record.ts";
import { machineOf, structured, type Tool, type ToolCall } from "./tool.ts";

const machineId = { type: "string", description: "The machine's name, from list_machines." };

const READ = { readOnlyHint: true, openWorldHint: false };

/** Operator's own tools, which answer from what Operator knows of the machines. */
export const OPERATOR_TOOLS: readonly Tool[] = [
  {
    definition: {
      name: "list_machines",
      description:
        "List your machines: which are online, what computers they are, which repositories they have. Every other tool takes a machine's name as machineId.",
      annotations: READ,
      inputSchema: { type: "object", properties: {} },
    },
    run: listMachines,
  },
  {
    definition: {
      name: "get_machine",
      description: "Look at one machine closely: presence, hardware, repositories, agent, the sessions it told of.",
      annotations: READ,
      inputSchema: { type: "object", properties: { machineId }, required: ["machineId"] },
    },
    run: getMachine,
  },
  {
    definition: {
      name: "poll_events",
      description:
        "Read what happened on your machines since a cursor, and wait for something if nothing did: sessions' messages and tool uses, permission requests, machines coming and going. Pass the returned cursor next time. Without a cursor: the newest events, or with session_id all that is kept of that session. Polling consumes nothing.",
      annotations: READ,
      inputSchema: {
        type: "object",
        properties: {
          session_id: {
            type: "string",
            description: "Only this session: a handle `<machine>/<id>`, or a bare id together with machineId.",
          },
          timeout_ms: {
            type: "number",
            description:
              "How long to wait when there is nothing yet, in milliseconds; at most 25000, which is the default.",
          },
          cursor: { type: "string", description: "The cursor that the last poll returned." },
          machineId: { type: "string", description: "Only this machine." },
        },
      },
    },
    run: pollEvents,
  },
];

async function listMachines({ env, caller }: ToolCall): Promise<CallToolResult> {
  const records: MachineRecord[] = await registryOf(env, caller.user).machines();
  const visible = records.filter(({ name }) => caller.machines?.includes(name) ?? true);
  return structured({ machines: visible.map((record) => summaryOf(record, env)) });
}

async function getMachine(call: ToolCall): Promise<CallToolResult> {
  const machine = machineOf(call);
  const record: MachineRecord | null = await registryOf(call.env, call.caller.user).machine(machine);
  if (record === null) throw new OperatorFailure({ code: "machine_unknown", machine });
  return structured(await detailOf(record, call.env, call.caller.user));
}

async function pollEvents({ env, caller, args }: ToolCall): Promise<CallToolResult> {
  const { result } = await poll(env, {
    user: caller.user,
    cursor: typeof args["cursor"] === "string" ? args["cursor"] : null,
    ...(await selectionOf(env, caller, args["machineId"], args["session_id"])),
    timeoutMs: typeof args["timeout_ms"] === "number" ? args["timeout_ms"] : POLL_MS,
  });
  return structured(result);
}
