import { CODING_TOOLS } from "./coding-tools.ts";
import { DELIVERY_TOOLS } from "./delivery-tools.ts";
import { INBOX_TOOLS } from "./inbox-tools.ts";
import { OPERATOR_TOOLS } from "./operator-tools.ts";
import { PASSED_THROUGH_TOOLS } from "./passed-through-tools.ts";
import { SESSION_TOOLS } from "./session-tools.ts";
import type { Tool, ToolDefinition } from "./tool.ts";

const ALL: readonly Tool[] = [
  ...OPERATOR_TOOLS,
  ...INBOX_TOOLS,
  ...DELIVERY_TOOLS,
  ...SESSION_TOOLS,
  ...PASSED_THROUGH_TOOLS,
  ...CODING_TOOLS,
];

/** The answer to `tools/list`: the same bytes for everybody, whatever is online. Clients cache it for a day. */
export const TOOLS: readonly ToolDefinition[] = ALL.map(({ definition }) => definition);

export const TOOL_BY_NAME: ReadonlyMap<string, Tool> = new Map(ALL.map((tool) => [tool.definition.name, tool]));
