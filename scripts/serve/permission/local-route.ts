import * as z from "zod";
import { parseJson } from "#protocol/json.ts";
import { explain, ServeFailure } from "../error.ts";
import type { Route } from "../http/listener.ts";
import { DENIED } from "../tools/permission-tools.ts";
import { show, type PermissionBook } from "./book.ts";

/** A separate path, because the connector forwards only /mcp. So no remote client can reach it. */
export const LOCAL_PATH = "/local/permissions";

/** An answer is short. */
const MAX_BODY_BYTES = 64 * 1024;

const Answer = z.object({
  request: z.string(),
  behavior: z.enum(["allow", "deny"]),
  reason: z.string().optional(),
});

/** The route that `codez permissions` uses. Its token is in a file that only the owner can read. */
export function permissionsRoute(permissions: PermissionBook, token: string): Route {
  return {
    path: LOCAL_PATH,
    token,
    maxBodyBytes: MAX_BODY_BYTES,
    handle: async (request, body) => {
      if (request.method === "GET") {
        return Response.json({ requests: permissions.pending().map((one) => show(one, Date.now())) });
      }
      if (request.method !== "POST") return new Response("Method not allowed\n", { status: 405 });
      return answer(permissions, body);
    },
  };
}

function answer(permissions: PermissionBook, body: string): Response {
  const parsed = Answer.safeParse(parseJson(body));
  if (!parsed.success) return Response.json({ error: z.prettifyError(parsed.error) }, { status: 400 });
  const { request, behavior, reason = DENIED } = parsed.data;
  const decision = behavior === "allow" ? { behavior } : { behavior, reason };
  try {
    const { request: settled, first } = permissions.respond(request, decision, "machine");
    return Response.json({ request: show(settled), already_settled: !first });
  } catch (error) {
    if (!(error instanceof ServeFailure)) throw error;
    return Response.json({ error: explain(error.error).message }, { status: 409 });
  }
}
