import { runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { Limits } from "../../../control-api/src/sign-in/accounts/limits.ts";
import { env } from "../support/operator.ts";

const NOW = 1_800_000_000_000;
const SHORT = { times: 2, windowMs: 60_000 };
const LONG = { times: 2, windowMs: 600_000 };

/** Limits of at most ten counts, looked through at every fifth attempt, and the keys that they keep. */
function withLimits(check: (limits: Limits, keys: () => string[]) => void): Promise<void> {
  const object = env.ACCOUNTS.getByName(`limits-${crypto.randomUUID()}`);
  return runInDurableObject(object, (_, { storage }) => {
    const keys = (): string[] =>
      storage.sql
        .exec<{ key: string }>("SELECT key FROM attempt ORDER BY key")
        .toArray()
        .map(({ key }) => key);
    check(new Limits(storage.sql, 10, 5), keys);
  });
}

describe("an attempt", () => {
  test("that is refused is not counted under any of its keys", () =>
    withLimits((limits, keys) => {
      for (const address of ["a", "b"]) {
        const counted = [[address, SHORT] as const, ["network", SHORT] as const];
        expect(limits.takeAll(counted, NOW)).toBe(0);
      }
      for (const address of ["c", "d"]) {
        const counted = [[address, SHORT] as const, ["network", SHORT] as const];
        expect(limits.takeAll(counted, NOW)).toBe(60_000);
      }
      expect(keys()).toEqual(["a", "b", "network"]);
      expect(limits.takeAll([["a", SHORT]], NOW)).toBe(0);
      expect(limits.takeAll([["a", SHORT]], NOW)).toBe(60_000);
      expect(limits.takeAll([["network", SHORT]], NOW + 60_000)).toBe(0);
    }));

  test("beyond what is kept drops counts that end first", () =>
    withLimits((limits, keys) => {
      limits.take("protected", LONG, NOW);
      for (let address = 0; address < 40; address += 1) limits.take(`many-${address}`, SHORT, NOW + address);
      expect(keys().length).toBeLessThanOrEqual(15);
      expect(keys()).toContain("protected");
      expect(keys()).toContain("many-39");
      expect(keys()).not.toContain("many-0");
    }));
});
