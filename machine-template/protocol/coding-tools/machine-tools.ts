import * as z from "zod/mini";
import { type CodingTool, READS, REPLACES } from "./coding-tool.ts";

/** Days that `get_observability` lists one by one. Its other sums cover all time. */
export const DEFAULT_DAYS = 30;

/** Ten years, which is longer than any agent has kept a history. */
const MAX_DAYS = 3_660;

export const get_health = {
  name: "get_health",
  title: "Check health",
  description:
    "Check that the machine's coding service works, and how busy it is. If sessions fail, call get_health_details for " +
    "the cause.",
  annotations: READS,
  input: z.object({}),
} satisfies CodingTool;

export const get_health_details = {
  name: "get_health_details",
  title: "Diagnose problems",
  description:
    "Diagnose the machine's coding service (agent, disk, index, configuration) and get the command that fixes each " +
    "problem. Slower than get_health.",
  annotations: READS,
  input: z.object({}),
} satisfies CodingTool;

export const get_state = {
  name: "get_state",
  title: "Read client state",
  description: "Read the small JSON document in which clients store their own settings on the machine.",
  annotations: READS,
  input: z.object({}),
} satisfies CodingTool;

export const update_state = {
  name: "update_state",
  title: "Change client state",
  description: "Change the JSON document that get_state reads. Returns the whole document.",
  annotations: REPLACES,
  input: z.object({
    patch: z
      .record(z.string(), z.unknown())
      .check(z.describe("JSON merge patch: objects are merged, null removes a key.")),
  }),
} satisfies CodingTool;

export const get_observability = {
  name: "get_observability",
  title: "Usage and cost",
  description:
    "Tokens and cost of the machine's sessions: total, by_day, by_project, by_model, and rows. " +
    "cost_usd is null where the agent recorded no price for a model.",
  annotations: READS,
  input: z.object({
    days: z.optional(
      z
        .int()
        .check(
          z.minimum(1),
          z.maximum(MAX_DAYS),
          z.describe(`Days that by_day and rows cover; default ${DEFAULT_DAYS}.`),
        ),
    ),
  }),
} satisfies CodingTool;
