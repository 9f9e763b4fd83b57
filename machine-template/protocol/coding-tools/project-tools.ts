import * as z from "zod/mini";
import { type CodingTool, READS } from "./coding-tool.ts";
import { Slug } from "./parameter.ts";

export const list_projects = {
  name: "list_projects",
  title: "List projects",
  description:
    "List the machine's coding projects, most recently used first: slug, path, git remote and branch, number of sessions. " +
    "Call this first for the slug that create_session and others take.",
  annotations: READS,
  input: z.object({}),
} satisfies CodingTool;

export const get_project_memory = {
  name: "get_project_memory",
  title: "Read a project's memory",
  description: "Read a project's CLAUDE.md and the memory files that agents have written about it.",
  annotations: READS,
  input: z.object({ slug: Slug }),
} satisfies CodingTool;
