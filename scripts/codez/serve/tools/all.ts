import type { Machine } from "../machine.ts";
import type { Tool } from "../mcp/tool.ts";
import { eventTools } from "./event-tools.ts";
import { promptTools } from "./prompt-tools.ts";
import { sessionTools } from "./session-tools.ts";

/** Every tool of the machine, always the same whatever is configured: clients cache the list for a day. */
export function allTools(machine: Machine): Tool[] {
  return [...sessionTools(machine), ...promptTools(machine), ...eventTools(machine)];
}
