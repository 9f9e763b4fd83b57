import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { ServeFailure } from "../error.ts";
import type { Machine } from "../machine.ts";
import { defineTool, type Tool } from "../mcp/tool.ts";
import { show } from "../permission/book.ts";

/** The message for the model when somebody denies a request without giving a reason. */
export const DENIED = "The person responsible denied this. Do not try it in another way; say what you wanted and why.";

export function permissionTools({ config, permissions, policy }: Machine): Tool[] {
  const respond = defineTool(
    CODING_TOOLS.respond_permission,
    async ({ session_id: session, request_id: id, behavior, reason = DENIED }) => {
      const request = permissions.get(id);
      if (request.session !== session) throw new ServeFailure({ code: "request_unknown", request: id });
      if (!(await policy.mayApprove(request.cwd))) {
        throw new ServeFailure({ code: "approval_is_local", request: id, config: config.path });
      }
      const decision = behavior === "allow" ? { behavior } : { behavior, reason };
      const answered = permissions.respond(id, decision, "client");
      return { ...show(answered.request), already_settled: !answered.first };
    },
  );
  return [respond];
}
