import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { ServeFailure } from "../error.ts";
import type { Machine } from "../machine.ts";
import { defineTool, type Tool } from "../mcp/tool.ts";
import { show } from "../permission/book.ts";
import { deniedText } from "../permission/denied-text.ts";

type Parts = Pick<Machine, "config" | "permissions" | "policy">;

export function permissionTools({ config, permissions, policy }: Parts): Tool[] {
  const respond = defineTool(
    CODING_TOOLS.respond_permission,
    async ({ session_id: session, request_id: id, behavior, reason, answers }) => {
      const request = permissions.get(id);
      if (request.session !== session) throw new ServeFailure({ code: "request_unknown", request: id });
      if (!(await policy.mayApprove(request.cwd))) {
        throw new ServeFailure({ code: "approval_is_local", request: id, config: config.path });
      }
      const decision =
        behavior === "deny"
          ? { behavior, reason: reason ?? deniedText(request.kind) }
          : { behavior, ...(answers === undefined ? {} : { answers }) };
      const answered = permissions.respond(id, decision, "client");
      return { ...show(answered.request), already_settled: !answered.first };
    },
  );
  const list = defineTool(CODING_TOOLS.list_pending, async ({ session_id: session }) => ({
    pending: permissions.pending(session).map((request) => show(request, Date.now())),
  }));
  return [respond, list];
}
