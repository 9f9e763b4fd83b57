import { expect, it } from "vitest";
import { promptText } from "../../../../scripts/serve/history/transcript-line.ts";

const prompt = (text: string): string | null => promptText([{ type: "text", text }]);

it("is what a person wrote, without what Claude Code has added", () => {
  expect(prompt("<command-name>/x</command-name>\nFix it<system-reminder>a\nb</system-reminder>")).toBe("Fix it");
  expect(prompt("<system-reminder>only this</system-reminder>")).toBeNull();
});

it("is looked through for that at its beginning only, whose beginnings without an end are read again and again", () => {
  const added = `<system-reminder>${"x".repeat(70_000)}</system-reminder>`;
  expect(prompt(added)).toBe(added);
  expect(prompt("<command-a>".repeat(300_000))).toHaveLength(3_300_000);
});
