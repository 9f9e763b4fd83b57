import { expect, it, onTestFinished } from "vitest";
import { StdioTarget } from "../../../scripts/connector/stdio/stdio-target.ts";
import { checkTarget } from "../../../scripts/connector/target-check.ts";

/** A program that reads and never answers. */
const SILENT = "process.stdin.resume(); setInterval(() => undefined, 1_000);";

it("a server that never answers counts as down after the time limit, and the check ends", async () => {
  const target = new StdioTarget({ command: process.execPath, args: ["-e", SILENT], cwd: process.cwd() }, "attic");
  onTestFinished(() => target.close());
  expect(await checkTarget(target, "0.0.0", 300)).toEqual({
    state: "down",
    detail: "it has not answered within 0.3 s",
  });
});
