import { expect, test } from "vitest";
import { makeClaimCode } from "../../scripts/claim-code.ts";

test("a claim code has four groups of unambiguous letters, and never repeats", () => {
  const codes = Array.from({ length: 50 }, makeClaimCode);
  for (const code of codes) expect(code).toMatch(/^[0-9A-HJKMNP-TV-Z]{5}(?:-[0-9A-HJKMNP-TV-Z]{5}){3}$/);
  expect(new Set(codes).size).toBe(50);
});
