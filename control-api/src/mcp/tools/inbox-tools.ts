import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { structuredResult } from "#protocol/tool-result.ts";
import { inboxQueryOf, readInbox } from "../../inbox/read-inbox.ts";
import { SHOWN_IN_FLEET } from "../apps/fleet-app.ts";
import type { Tool } from "./tool.ts";

/** What sessions of all machines wait for. Operator knows it, so no machine is asked. */
export const INBOX_TOOLS: readonly Tool[] = [
  {
    definition: {
      name: "list_pending",
      title: CODING_TOOLS.list_pending.title,
      annotations: CODING_TOOLS.list_pending.annotations,
      description:
        "List what sessions of all machines wait for a person to decide: permission requests, questions, plans, in full. " +
        "Tell the user, who decides at `answer_at`.",
      inputSchema: {
        type: "object",
        properties: {
          machineId: { type: "string", description: "Only this machine." },
          session_id: { type: "string", description: "Only this session handle." },
          cursor: { type: "string", description: "The previous answer's cursor." },
        },
      },
      _meta: SHOWN_IN_FLEET,
    },
    run: async ({ env, caller, args }) =>
      structuredResult(
        await readInbox(
          env,
          caller,
          inboxQueryOf(caller, {
            machine: args["machineId"],
            session: args["session_id"],
            state: undefined,
            cursor: args["cursor"] ?? undefined,
          }),
        ),
      ),
  },
];
