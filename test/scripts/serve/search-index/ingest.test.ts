import { expect, test } from "vitest";
import { wordsOf } from "../../../../scripts/serve/search-index/ingest.ts";

test("of a tool's input that is nested without end the outer words are searchable", () => {
  let input: unknown = "innermost";
  for (let depth = 0; depth < 200_000; depth += 1) input = [input];
  expect(wordsOf({ type: "tool_use", id: "t", tool: "Bash", input: { command: "ls", input } }).trim()).toBe("Bash ls");
});
