import { randomUUID } from "node:crypto";
import * as z from "zod";
import { MAX_ASK_CHARACTERS } from "#protocol/ask.ts";
import { parseJson } from "#protocol/json.ts";
import type { Decision } from "../agent/agent.ts";
import { isShallow } from "../agent/nesting.ts";
import { isSessionId } from "../history/session-file.ts";
import type { Route } from "../http/listener.ts";
import type { PermissionBook } from "./book.ts";

/** Beside the door of `codez permissions`, and with the same token. */
export const ASK_PATH = "/local/asks";

/** A tool's input may hold a whole file. */
const MAX_BODY_BYTES = 16 * 1024 * 1024;

/** Requests of terminals that wait at once. A person has a few terminals open. */
const MAX_WAITING = 50;

const Ask = z.object({
  session: z.string().refine(isSessionId),
  cwd: z.string().min(1).max(4_096),
  tool: z.string().min(1).max(MAX_ASK_CHARACTERS),
  toolUse: z.string().max(200),
  input: z.record(z.string(), z.unknown()).refine((input) => isShallow(input), "nested too deep"),
});

/**
 * Takes in what a session in a terminal asks (`codez hooks answer`), and answers when it was decided. The answer's head comes at once,
 * when the request is in the book; its body is the decision, or empty if nobody decided here. When the hook hangs up, because its person has
 * answered in the terminal or its time is up, the request is settled by that.
 */
export function asksRoute(permissions: PermissionBook, token: string): Route {
  let waiting = 0;
  return {
    path: ASK_PATH,
    token,
    maxBodyBytes: MAX_BODY_BYTES,
    handle: async (request, body) => {
      if (request.method !== "POST") return new Response("Method not allowed\n", { status: 405 });
      const parsed = Ask.safeParse(parseJson(body));
      if (!parsed.success) return Response.json({ error: z.prettifyError(parsed.error) }, { status: 400 });
      if (waiting >= MAX_WAITING) return Response.json({ error: "too many terminals wait already" }, { status: 429 });
      const { session, cwd, tool, toolUse, input } = parsed.data;
      waiting += 1;
      const decided = Promise.withResolvers<Decision | null>();
      const id = randomUUID();
      const respond = (decision: Decision, isDecided: boolean): void => decided.resolve(isDecided ? decision : null);
      permissions.ask({ session, cwd, respond }, { id, tool, toolUse, input, why: "asked in a terminal" });
      const leave = (): void => {
        permissions.leave(id);
        decided.resolve(null);
      };
      request.signal.addEventListener("abort", leave, { once: true });
      if (request.signal.aborted) leave();
      const answer = new ReadableStream<Uint8Array>({
        async start(controller) {
          const decision = await decided.promise;
          waiting -= 1;
          if (decision !== null) controller.enqueue(new TextEncoder().encode(JSON.stringify(answerOf(decision))));
          controller.close();
        },
      });
      return new Response(answer, { headers: { "content-type": "application/json" } });
    },
  };
}

function answerOf(decision: Decision): Record<string, unknown> {
  return decision.behavior === "deny"
    ? { behavior: "deny", reason: decision.reason, answers: null }
    : { behavior: "allow", reason: null, answers: decision.answers ?? null };
}
