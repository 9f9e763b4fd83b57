import { expect, test } from "vitest";
import { covers, mayAct, requestedScopes, type Scope, SCOPES } from "../../../control-api/src/http/scope.ts";

const ACTING: readonly Scope[] = ["mcp:tools", "operator:read", "operator:act"];

test.each<[own: Scope[], covered: readonly Scope[]]>([
  // As of an app that asked to manage the account, and that its person has limited to machines.
  [[], []],
  [["operator:read"], ["operator:read"]],
  [["operator:act"], ACTING],
  [["mcp:tools"], ACTING],
  [["operator:admin"], ["operator:read", "operator:admin"]],
  [["operator:tokens"], ["operator:read", "operator:tokens"]],
])("the scopes %j cover %j", (own, covered) => {
  expect(SCOPES.filter((scope) => covers(own, [scope]))).toEqual(covered);
  expect(mayAct(own)).toBe(covered.includes("operator:act"));
});

test("who asks for no scope that exists gets the least one", () => {
  expect(requestedScopes(["everything", ""])).toEqual(["mcp:tools"]);
});
