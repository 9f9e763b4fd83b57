import { describe, expect, test } from "vitest";
import { TestMachine } from "../scripts/serve/support/machine.ts";
import { client } from "./support/clients.ts";
import { TestOperator } from "./support/operator.ts";

type Listed = { name: string; inputSchema: { properties?: object | undefined; required?: string[] | undefined } };

/** Each tool's parameters by its name, and which of them it demands. */
function parametersOf(tools: readonly Listed[]): Record<string, { takes: string[]; needs: string[] }> {
  const entries = tools.map(({ name, inputSchema: { properties = {}, required = [] } }) => {
    const isOurs = (parameter: string) => parameter !== "machineId";
    return [
      name,
      { takes: Object.keys(properties).filter(isOurs).toSorted(), needs: required.filter(isOurs) },
    ] as const;
  });
  return Object.fromEntries(entries);
}

/** Parameters that a tool has in addition, or no longer needs, because at `/mcp` it works over all machines. */
const OVER_ALL: Readonly<Record<string, { adds?: string[]; spares?: string[] }>> = {
  list_sessions: { adds: ["state"], spares: ["slug"] },
  list_pending: { adds: ["cursor"] },
  poll_events: { adds: ["project", "type"] },
  // What waits for a machine waits at Operator.
  create_session: { adds: ["on_offline", "ttl_ms"] },
  send_prompt: { adds: ["on_offline", "ttl_ms"] },
};

describe("Operator's /mcp and a running codez serve", () => {
  test("list the same parameters for each tool that both have, in both revisions of MCP", async () => {
    await using operator = await TestOperator.start();
    await using machine = await TestMachine.start();
    for (const era of ["2025-11-25", "2026-07-28"] as const) {
      await using atOperator = await client(operator.mcpUrl, era);
      await using atMachine = await client(new URL(machine.url), era, machine.authorization);
      const [everywhere, there] = await Promise.all([atOperator.listTools(), atMachine.listTools()]);
      const ofMachine = parametersOf(there.tools);
      expect(Object.keys(ofMachine)).toContain("create_session");
      const ofAll = parametersOf(everywhere.tools);
      for (const [name, { takes, needs }] of Object.entries(ofMachine)) {
        const { adds = [], spares = [] } = OVER_ALL[name] ?? {};
        expect([name, ofAll[name]]).toEqual([
          name,
          { takes: [...takes, ...adds].toSorted(), needs: needs.filter((one) => !spares.includes(one)) },
        ]);
      }
    }
  });
});
