import * as z from "zod/mini";
import { type CodingTool, READS } from "./coding-tool.ts";
import { Slug } from "./parameter.ts";

export const list_projects = {
  name: "list_projects",
  title: "List projects",
  description:
    "List the machine's coding projects, most recently used first: slug (which names the project in other tools), path, " +
    "git remote and branch, number of sessions. Call it to find the slug for create_session or list_sessions.",
  annotations: READS,
  input: z.object({}),
} satisfies CodingTool;

export const get_project_memory = {
  name: "get_project_memory",
  title: "Read a project's memory",
  description: "Read what agents remember about a project (their memory files on it) and the project's CLAUDE.md.",
  annotations: READS,
  input: z.object({ slug: Slug }),
} satisfies CodingTool;
