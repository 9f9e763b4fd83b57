import type { CallToolResult } from "@modelcontextprotocol/server";
import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { READS } from "#protocol/coding-tools/coding-tool.ts";
import { OperatorFailure } from "#protocol/error.ts";
import { POLL_MS } from "#protocol/limits.ts";
import { structuredResult } from "#protocol/tool-result.ts";
import { poll } from "../../events/poll.ts";
import { eventDetailOf, selectionOf } from "../../events/selection.ts";
import { LISTED_PROJECTS, listedMachine, machineInFull } from "../../machines/machine-view.ts";
import { summaryOf } from "../../machines/machine-summary.ts";
import { detailOf } from "../../machines/machine-detail.ts";
import type { MachineRecord } from "../../machines/machine-record.ts";
import { registryOf } from "../../user/user-rpc.ts";
import { SHOWN_IN_FLEET } from "../apps/fleet-app.ts";
import { machineId } from "./parameter.ts";
import { machineOf, type Tool, type ToolCall } from "./tool.ts";

/** Operator's own tools, which answer from what Operator knows about the machines. */
export const OPERATOR_TOOLS: readonly Tool[] = [
  {
    definition: {
      name: "list_machines",
      title: "List machines",
      description:
        "List your machines: name, status, hardware, agent, git repositories and coding projects with their slugs. Start " +
        "here: the other tools take a machine's name as machineId. status: `online` = takes calls now; `offline` = not " +
        "connected since lastSeenMs; `never_connected`. At most " +
        `${LISTED_PROJECTS} projects, as last seen; list_projects has all.`,
      annotations: READS,
      inputSchema: { type: "object", properties: {} },
      _meta: SHOWN_IN_FLEET,
    },
    run: listMachines,
  },
  {
    definition: {
      name: "get_machine",
      title: "Show one machine",
      description:
        "Show one machine as in list_machines, with all repositories and projects; `state`: since when it is connected, " +
        "its calls in progress (exchanges) and recent sessions, or null with an `error` that says why.",
      annotations: READS,
      inputSchema: { type: "object", properties: { machineId }, required: ["machineId"] },
    },
    run: getMachine,
  },
  {
    definition: {
      name: "poll_events",
      title: CODING_TOOLS.poll_events.title,
      annotations: CODING_TOOLS.poll_events.annotations,
      description:
        "Read what happened on your machines since a cursor: messages and tool uses of sessions, permission requests, " +
        "machines going on- and offline. Waits if there is nothing. Pass the returned cursor to the next call, at once " +
        "if `more` is true. `gaps`: machines of which events are missing; use get_session.",
      inputSchema: {
        type: "object",
        properties: {
          session_id: { type: "string", description: 'Only this session: "<machine>/<id>".' },
          timeout_ms: {
            type: "number",
            description: `How long to wait if there is nothing new, in ms. Default and maximum ${POLL_MS}.`,
          },
          cursor: {
            type: "string",
            description: "The previous answer's cursor. Without it: the newest events, or all of session_id.",
          },
          machineId: { type: "string", description: "Only this machine." },
          project: { type: "string", description: "Only this project slug." },
          type: { type: "string", description: 'Only these types, e.g. "permission.*,session.idle".' },
          detail: {
            type: "string",
            enum: ["coarse", "deltas"],
            description: "deltas adds pieces of unfinished messages; default coarse.",
          },
        },
      },
    },
    run: pollEvents,
  },
];

async function listMachines({ env, caller }: ToolCall): Promise<CallToolResult> {
  const records: MachineRecord[] = await registryOf(env, caller.user).machines();
  const visible = records.filter(({ name }) => caller.machines?.includes(name) ?? true);
  return structuredResult({ machines: visible.map((record) => listedMachine(summaryOf(record, env), Date.now())) });
}

async function getMachine(call: ToolCall): Promise<CallToolResult> {
  const machine = machineOf(call);
  const record: MachineRecord | null = await registryOf(call.env, call.caller.user).machine(machine);
  if (record === null) throw new OperatorFailure({ code: "machine_unknown", machine });
  return structuredResult(machineInFull(await detailOf(record, call.env, call.caller.user)));
}

async function pollEvents({ env, caller, args, signal }: ToolCall): Promise<CallToolResult> {
  const { result } = await poll(env, {
    user: caller.user,
    cursor: typeof args["cursor"] === "string" ? args["cursor"] : null,
    ...selectionOf(caller, {
      machine: args["machineId"],
      session: args["session_id"],
      project: args["project"],
      type: args["type"],
    }),
    detail: eventDetailOf(args["detail"]),
    timeoutMs: typeof args["timeout_ms"] === "number" ? args["timeout_ms"] : POLL_MS,
    signal,
  });
  return structuredResult(result);
}
