import type { CallToolResult } from "@modelcontextprotocol/server";
import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { READS } from "#protocol/coding-tools/coding-tool.ts";
import { OperatorFailure } from "#protocol/error.ts";
import { POLL_MS } from "#protocol/limits.ts";
import { structuredResult } from "#protocol/tool-result.ts";
import { poll } from "../../events/poll.ts";
import { eventDetailOf, selectionOf } from "../../events/selection.ts";
import { sees } from "../../http/caller.ts";
import { LISTED_PROJECTS, listedMachine, machineInFull } from "../../machines/machine-view.ts";
import { summaryOf } from "../../machines/machine-summary.ts";
import { detailOf } from "../../machines/machine-detail.ts";
import {
  machineCursor,
  type ListedMachines,
  type MachineQuery,
  placeIn,
  placeOf,
} from "../../machines/machine-query.ts";
import type { MachineRecord } from "../../machines/machine-record.ts";
import { registryOf } from "../../user/user-rpc.ts";
import { SHOWN_IN_FLEET } from "../apps/fleet-app.ts";
import { machineId } from "./parameter.ts";
import { invalid, machineOf, type Tool, type ToolCall } from "./tool.ts";

/** Machines in one page of the list: a model reads each of them. */
const PAGE_MACHINES = 50;
const MAX_PAGE_MACHINES = 200;

/**
 * A page ends before the machine with which it would be longer than this. A machine with many projects and repositories takes up to
 * 8 KB, one that never connected 300 bytes; 64 KB are about 16,000 tokens.
 */
const PAGE_CHARACTERS = 64 * 1024;

/** A name has 32 characters at most, a host name by DNS 253. */
const MAX_QUERY_CHARACTERS = 253;

/** Operator's own tools, which answer from what Operator knows about the machines. */
export const OPERATOR_TOOLS: readonly Tool[] = [
  {
    definition: {
      name: "list_machines",
      title: "List machines",
      description:
        "List your machines, online ones first: name, status, hardware, agent, git repositories, projects with slugs. Start " +
        "here: other tools take the name as machineId. `offline` = not connected " +
        `since lastSeenMs. At most ${LISTED_PROJECTS} projects; list_projects has all.`,
      annotations: READS,
      inputSchema: {
        type: "object",
        properties: {
          query: { type: "string", description: "Part of a name or hostname." },
          limit: { type: "integer", description: `Default ${PAGE_MACHINES}.` },
          cursor: { type: "string", description: "The previous answer's cursor." },
        },
      },
      _meta: SHOWN_IN_FLEET,
    },
    run: listMachines,
  },
  {
    definition: {
      name: "get_machine",
      title: "Show one machine",
      description:
        "Show one machine with all repositories and projects; `state`: since when it is connected, its calls in progress " +
        "(exchanges) and recent sessions, or null with an `error`.",
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
            description: `How long to wait, in ms. Default and maximum ${POLL_MS}.`,
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

async function listMachines({ env, caller, args }: ToolCall): Promise<CallToolResult> {
  const { query = "", limit = PAGE_MACHINES, cursor = null } = args;
  if (typeof query !== "string" || query.length > MAX_QUERY_CHARACTERS)
    return invalid(`query must be a part of a name, as a string of at most ${MAX_QUERY_CHARACTERS} characters.`);
  if (typeof limit !== "number" || !Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE_MACHINES)
    return invalid(`limit must be a whole number from 1 to ${MAX_PAGE_MACHINES}.`);
  const after = cursor === null ? null : placeIn(String(cursor));
  if (cursor !== null && after === null)
    return invalid("This is not a cursor of list_machines. Leave it out to start again.");
  const asked: MachineQuery = { visible: caller.computers, words: query.trim(), after, limit };
  const page: ListedMachines = await registryOf(env, caller.user).machinePage(asked);
  const machines: Record<string, unknown>[] = [];
  let [characters, last] = [0, after];
  for (const record of page.machines) {
    const machine = listedMachine(summaryOf(record, env), Date.now());
    characters += JSON.stringify(machine).length;
    if (machines.length > 0 && characters > PAGE_CHARACTERS) break;
    machines.push(machine);
    last = placeOf(record);
  }
  const isCut = page.hasMore || machines.length < page.machines.length;
  const next = isCut && last !== null ? machineCursor(last) : null;
  return structuredResult({ machines, total: page.total, online: page.online, cursor: next });
}

async function getMachine(call: ToolCall): Promise<CallToolResult> {
  const machine = machineOf(call);
  const record: MachineRecord | null = await registryOf(call.env, call.caller.user).machine(machine);
  if (record === null || !sees(call.caller, record)) throw new OperatorFailure({ code: "machine_unknown", machine });
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
