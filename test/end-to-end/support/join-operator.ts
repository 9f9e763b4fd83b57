import { join } from "node:path";
import { expect } from "vitest";
import { Codez, codez } from "../../scripts/codez/commands/support/codez.ts";
import type { TestMachine } from "../../scripts/serve/support/machine.ts";
import type { TestOperator } from "./operator.ts";

/**
 * Makes a computer with `codez serve` the machine `attic`, as the shipped `codez setup` and `codez connect` do. Resolves once it is online,
 * with the connector, which ends with the Operator.
 */
export async function joinOperator(operator: TestOperator, attic: TestMachine): Promise<Codez> {
  const home = join(attic.home, ".codez"); // where the connector finds the token of codez serve
  const hub = { CODEZ_HUB: operator.url };
  const set = await codez(home, ["setup", "attic", "--url", attic.url], hub);
  expect(set.code, set.err).toBe(0);
  const connector = new Codez(home, ["connect", "attic"], hub);
  operator.own(connector);
  await connector.says("online");
  return connector;
}
