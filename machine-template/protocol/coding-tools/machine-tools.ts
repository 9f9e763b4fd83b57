import * as z from "zod/mini";
import { type CodingTool, READS, REPLACES } from "./coding-tool.ts";

/** Days that `get_observability` tells of one by one; its sums are over all time. */
export const DEFAULT_DAYS = 30;

/** Ten years: longer than any agent has kept a history. */
const MAX_DAYS = 3_660;

export const get_health = {
  name: "get_health",
  title: "Check health",
  description:
    "Check that the machine's coding service answers, and how busy it is: live and busy sessions, waiting permission " +
    "requests, uptime. When sessions fail, get_health_details says why.",
  annotations: READS,
  input: z.object({}),
} satisfies CodingTool;

export const get_health_details = {
  name: "get_health_details",
  title: "Diagnose problems",
  description:
    "Find out what is wrong with the machine's coding service and what to run there: agent installed and signed in, " +
    "disk space, history index, configuration. Slower than get_health.",
  annotations: READS,
  input: z.object({}),
} satisfies CodingTool;

export const get_state = {
  name: "get_state",
  title: "Read client state",
  description:
    "Read the small JSON document in which clients keep markers and preferences on the machine. It says nothing about " +
    "sessions: for those use list_sessions.",
  annotations: READS,
  input: z.object({}),
} satisfies CodingTool;

export const update_state = {
  name: "update_state",
  title: "Change client state",
  description: "Change the document that get_state reads, and get all of it back.",
  annotations: REPLACES,
  input: z.object({
    patch: z
      .record(z.string(), z.unknown())
      .check(z.describe('JSON merge patch: objects are merged, null removes a key, e.g. {"theme":"dark","old":null}.')),
  }),
} satisfies CodingTool;

export const get_observability = {
  name: "get_observability",
  title: "Usage and cost",
  description:
    "Tokens and cost of the machine's sessions: total, by_day, by_project, by_model, and rows (day, project and model). " +
    "cost_usd is null where the agent recorded no price for a model.",
  annotations: READS,
  input: z.object({
    days: z.optional(
      z
        .int()
        .check(
          z.minimum(1),
          z.maximum(MAX_DAYS),
          z.describe(`How many days by_day and rows cover; default ${DEFAULT_DAYS}. The other sums cover all time.`),
        ),
    ),
  }),
} satisfies CodingTool;
