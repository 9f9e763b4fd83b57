import { expect, test } from "vitest";
import { ruleText, sessionRulesIn, sessionUpdate } from "../../../../../scripts/serve/agent/claude/session-rules.ts";

const adds = (rules: object[], more: object = {}) => ({ type: "addRules", behavior: "allow", destination: "localSettings", rules, ...more }); // prettier-ignore
const TOUCH = { toolName: "Bash", ruleContent: "touch:*" };

test("rules that the agent suggests for its own tool are offered, and go back for this session only", () => {
  const rules = sessionRulesIn([adds([TOUCH, { toolName: "Bash" }])], "Bash");
  expect(rules.map(ruleText)).toEqual(["Bash(touch:*)", "Bash"]);
  expect(sessionUpdate(rules)).toEqual({
    type: "addRules",
    behavior: "allow",
    destination: "session",
    rules: [TOUCH, { toolName: "Bash" }],
  });
});

test("a change of mode, folders, or what others may do is never offered", () => {
  for (const suggestion of [
    { type: "setMode", mode: "bypassPermissions", destination: "session" },
    { type: "addDirectories", directories: ["/"], destination: "session" },
    { type: "replaceRules", behavior: "allow", destination: "session", rules: [TOUCH] },
    { type: "removeRules", behavior: "deny", destination: "session", rules: [TOUCH] },
    adds([TOUCH], { behavior: "deny" }),
    null,
    "addRules",
    {},
  ])
    expect(sessionRulesIn([suggestion], "Bash"), JSON.stringify(suggestion)).toEqual([]);
});

test("nothing is offered unless all of it is for the tool that asks and can be shown in full", () => {
  for (const rule of [
    { toolName: "Write" },
    { toolName: "Bash", ruleContent: "" },
    { toolName: "Bash", ruleContent: "x".repeat(300) },
  ])
    expect(sessionRulesIn([adds([TOUCH, rule])], "Bash"), JSON.stringify(rule)).toEqual([]);
  expect(sessionRulesIn([adds(Array.from({ length: 11 }, () => TOUCH))], "Bash")).toEqual([]);
  expect(sessionRulesIn([], "Bash")).toEqual([]);
});
