import * as z from "zod";
import { ServeFailure } from "../error.ts";
import type { Machine } from "../machine.ts";
import { defineTool, type Tool } from "../mcp/tool.ts";
import { show } from "../permission/book.ts";
import { SessionId } from "./input.ts";

/** What the model reads when somebody says no without saying why. */
export const DENIED = "The person responsible denied this. Do not try it in another way; say what you wanted and why.";

export function permissionTools({ config, permissions, policy }: Machine): Tool[] {
  const respond = defineTool({
    name: "respond_permission",
    title: "Answer a permission request",
    description:
      "Allow or deny a tool use that waits for a person. Off unless the machine's owner turned it on: otherwise " +
      "somebody at the machine answers with `codez permissions`. The first answer stands.",
    kind: "destroys",
    input: z.object({
      session_id: SessionId,
      request_id: z.string().min(1),
      behavior: z.enum(["allow", "deny"]),
      reason: z.string().max(2_000).optional().describe("Told to the model with a denial"),
    }),
    call: async ({ session_id: session, request_id: id, behavior, reason = DENIED }) => {
      const request = permissions.get(id);
      if (request.session !== session) throw new ServeFailure({ code: "request_unknown", request: id });
      if (!(await policy.mayApprove(request.cwd))) {
        throw new ServeFailure({ code: "approval_is_local", request: id, config: config.path });
      }
      const decision = behavior === "allow" ? { behavior } : { behavior, reason };
      const answered = permissions.respond(id, decision, "client");
      return { ...show(answered.request), already_settled: !answered.first };
    },
  });
  return [respond];
}
