import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  answersProblem,
  askKindOf,
  boundedAsk,
  CUT_ASK_CHARACTERS,
  isSameDecision,
  MAX_ASK_CHARACTERS,
} from "#protocol/ask.ts";
import { MAX_EVENT_BYTES } from "#protocol/limits.ts";

describe("a request", () => {
  it("is shown in full up to the limit, and above it cut with a mark, so that it always fits an event", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 * MAX_ASK_CHARACTERS }),
        fc.constantFrom("x", '"', "\\", "é", "\u0007", "🙂"),
        (length, char) => {
          const whole = { command: char.repeat(length) };
          const { input, isWhole } = boundedAsk("permission", whole);
          expect(isWhole).toBe(JSON.stringify(whole).length <= MAX_ASK_CHARACTERS);
          if (isWhole) expect(input).toEqual(whole);
          else {
            const { cut, characters } = input as { cut: string; characters: number };
            expect(JSON.stringify(whole).startsWith(cut.slice(0, -1))).toBe(true);
            expect([cut.length, characters]).toEqual([CUT_ASK_CHARACTERS, JSON.stringify(whole).length]);
          }
          expect(JSON.stringify(input).length).toBeLessThan(MAX_EVENT_BYTES - 8_192);
        },
      ),
    );
  });

  it("is a question only if it can be answered, and a plan is incomplete without its text", () => {
    expect(askKindOf("AskUserQuestion", { questions: [{ question: "Which?" }] })).toBe("question");
    for (const input of [null, [], {}, { questions: [] }, { questions: [{ question: "" }] }, { questions: "x" }])
      expect(askKindOf("AskUserQuestion", input)).toBe("permission");
    expect(askKindOf("Bash", { questions: [{ question: "Which?" }] })).toBe("permission");
    expect(askKindOf("ExitPlanMode", {})).toBe("plan");
    expect(boundedAsk("plan", {}).isWhole).toBe(false);
    expect(boundedAsk("plan", { plan: "1. Nothing." }).isWhole).toBe(true);
  });

  it("needs one answer for each question, and nothing else", () => {
    const questions = [{ question: "A?" }, { question: "__proto__" }];
    expect(answersProblem(questions, { "A?": "x", ["__proto__"]: "y" })).toBeNull();
    expect(answersProblem(questions, undefined)).toContain("needs answers");
    expect(answersProblem(questions, { "A?": "x" })).toContain("__proto__");
    expect(answersProblem([{ question: "A?" }], { "A?": "x", "B?": "y" })).toContain("B?");
  });

  it("is decided in the same way only by the same answers", () => {
    const allow = { behavior: "allow", answers: { "A?": "x" } };
    expect(isSameDecision(allow, { behavior: "allow", answers: { "A?": "x" } })).toBe(true);
    expect(isSameDecision(allow, { behavior: "allow", answers: { "A?": "y" } })).toBe(false);
    expect(isSameDecision(allow, { behavior: "allow" })).toBe(false);
    expect(isSameDecision({ behavior: "deny", answers: null }, { behavior: "deny" })).toBe(true);
  });
});
