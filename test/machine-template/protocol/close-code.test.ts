import { expect, it } from "vitest";
import { CloseCode, isFatal } from "#protocol/close-code.ts";

it("a close code tells a connector to stop exactly where another dial would be refused again", () => {
  const fatal = Object.entries(CloseCode).flatMap(([name, code]) => (isFatal(code) ? [name] : []));
  expect(fatal.toSorted()).toEqual(["PROTOCOL_TOO_OLD", "REPLACED", "REVOKED"]);
});

it("codes for a lost connection are a reason to dial again", () => {
  for (const code of [1000, 1001, 1005, 1006, 1009, 1011, 1012, 1013, 1015]) expect(isFatal(code)).toBe(false);
});

it("all codes are in the application's range, each once", () => {
  const codes = Object.values(CloseCode);
  expect(new Set(codes).size).toBe(codes.length);
  for (const code of codes) expect(code).toSatisfy((one: number) => one >= 4000 && one <= 4999);
});
