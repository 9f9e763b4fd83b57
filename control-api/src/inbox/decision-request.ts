import * as z from "zod/mini";
import { Answers, MAX_ASK_REASON_CHARACTERS } from "#protocol/ask.ts";

/** The body of `POST /api/inbox/:id`, and what a form of the inbox page amounts to. */
export const DecisionRequest = z.object({
  behavior: z.enum(["allow", "deny"]),
  reason: z.optional(z.string().check(z.maxLength(MAX_ASK_REASON_CHARACTERS))),
  answers: z.optional(Answers),
});
