import type { Machine } from "../machine.ts";
import type { Tool } from "../mcp/tool.ts";
import { changeTools } from "./change-tools.ts";
import { eventTools } from "./event-tools.ts";
import { historyTools } from "./history-tools.ts";
import { machineTools } from "./machine-tools.ts";
import { permissionTools } from "./permission-tools.ts";
import { projectTools } from "./project-tools.ts";
import { promptTools } from "./prompt-tools.ts";
import { sessionTools } from "./session-tools.ts";

/** Every tool of the machine, always the same whatever is configured: clients cache the list for a day. */
export function allTools(machine: Machine): Tool[] {
  return [
    ...projectTools(machine),
    ...historyTools(machine),
    ...changeTools(machine),
    ...sessionTools(machine),
    ...promptTools(machine),
    ...permissionTools(machine),
    ...eventTools(machine),
    ...machineTools(machine),
  ];
}
