import * as z from "zod/mini";
import { POLL_MS } from "../limits.ts";
import { type CodingTool, READS } from "./coding-tool.ts";
import { SessionId } from "./parameter.ts";

export const poll_events = {
  name: "poll_events",
  title: "Poll for events",
  description:
    "Read what has happened in the machine's sessions since a cursor: messages, tool uses, status changes, permission " +
    "requests. Call it again with the returned cursor. Without a cursor it returns what this client has not been given " +
    "yet. Nothing is consumed for other clients. `gap`: older events were dropped, read get_session instead.",
  annotations: READS,
  input: z.object({
    session_id: z.optional(SessionId),
    timeout_ms: z.optional(
      z.number().check(z.describe(`How long to wait if there is nothing new, in ms. At most ${POLL_MS}; default 0.`)),
    ),
    cursor: z.optional(z.string().check(z.describe("Cursor of the previous answer; `now` skips what is past."))),
  }),
} satisfies CodingTool;
