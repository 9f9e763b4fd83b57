import * as z from "zod";
import { Answers, MAX_ASK_REASON_CHARACTERS } from "#protocol/ask.ts";
import { parseJson } from "#protocol/json.ts";
import { explain, ServeFailure } from "../error.ts";
import type { Route } from "../http/listener.ts";
import type { Machine } from "../machine.ts";
import { deniedText } from "./denied-text.ts";
import { show } from "./book.ts";

/** A separate path, because the connector forwards only /mcp. So no remote client can reach it. */
export const LOCAL_PATH = "/local/permissions";

/** What answering needs of a machine. */
type Parts = Pick<Machine, "config" | "permissions" | "policy">;

/** Twenty answers of the largest size, in JSON. */
const MAX_BODY_BYTES = 512 * 1024;

const Answer = z.object({
  request: z.string(),
  behavior: z.enum(["allow", "deny"]),
  reason: z.string().max(MAX_ASK_REASON_CHARACTERS).optional(),
  answers: z.optional(Answers),
  forSession: z.boolean().optional(),
  /** The person who decided on a page of Operator, where the connector passes the decision on. */
  by: z.string().max(128).optional(),
});

/**
 * The route that `codez permissions` uses, and the connector for what a person decided on a page of Operator. Its token is in a file
 * that only the owner can read.
 */
export function permissionsRoute(machine: Parts, token: string): Route {
  return {
    path: LOCAL_PATH,
    token,
    maxBodyBytes: MAX_BODY_BYTES,
    handle: async (request, body) => {
      if (request.method === "GET") {
        return Response.json({ requests: machine.permissions.pending().map((one) => show(one, Date.now())) });
      }
      if (request.method !== "POST") return new Response("Method not allowed\n", { status: 405 });
      return answer(machine, body);
    },
  };
}

function answer({ permissions, policy, config }: Parts, body: string): Response {
  const parsed = Answer.safeParse(parseJson(body));
  if (!parsed.success)
    return Response.json({ code: "arguments_invalid", error: z.prettifyError(parsed.error) }, { status: 400 });
  const { request, behavior, answers, by, forSession = false } = parsed.data;
  try {
    const { kind, settled: earlier } = permissions.get(request);
    // What is settled already is told in any case.
    if (by !== undefined && earlier === null && !policy.mayAnswerOnPages())
      throw new ServeFailure({ code: "pages_not_allowed", request, config: config.path });
    const reason = parsed.data.reason ?? deniedText(kind);
    const decision =
      behavior === "deny"
        ? { behavior, reason }
        : { behavior, forSession, ...(answers === undefined ? {} : { answers }) };
    const decided = permissions.respond(request, decision, by === undefined ? "machine" : "operator", by ?? null);
    return Response.json({ request: show(decided.request), already_settled: !decided.first });
  } catch (error) {
    if (!(error instanceof ServeFailure)) throw error;
    const { code } = error.error;
    const settled = code === "request_settled" ? permissions.get(request).settled : null;
    return Response.json({ code, error: explain(error.error).message, settled }, { status: statusOf(code) });
  }
}

function statusOf(code: string): 400 | 403 | 404 | 409 {
  switch (code) {
    case "pages_not_allowed":
      return 403;
    case "request_unknown":
      return 404;
    case "arguments_invalid":
      return 400;
    default:
      return 409;
  }
}
