import * as z from "zod/mini";
import { EventDetail } from "../event.ts";
import { POLL_MS } from "../limits.ts";
import { type CodingTool, READS } from "./coding-tool.ts";
import { SessionId } from "./parameter.ts";

export const poll_events = {
  name: "poll_events",
  title: "Poll events",
  description:
    "Read what happened in the machine's sessions since a cursor: messages, tool uses, status changes, permission " +
    "requests. Pass the returned cursor to the next call. Without a cursor you get the events that this client has not " +
    "read yet; other clients still get theirs. `gap`: older events were dropped, so read the session with get_session.",
  annotations: READS,
  input: z.object({
    session_id: z.optional(SessionId),
    timeout_ms: z.optional(
      z.number().check(z.describe(`How long to wait if there is nothing new, in ms. At most ${POLL_MS}; default 0.`)),
    ),
    detail: z.optional(
      EventDetail.check(
        z.describe("coarse: messages when they are complete. deltas: also pieces of those that are being written."),
      ),
    ),
    cursor: z.optional(z.string().check(z.describe("The previous answer's cursor; `now` skips all past events."))),
  }),
} satisfies CodingTool;
