import { describe, expect, it } from "vitest";
import { formOf, verdictIn } from "../../../control-api/src/elicitation/form.ts";

const INBOX = "https://operator.example.com/inbox";

function item(more: object = {}): Parameters<typeof formOf>[0] {
  const input = JSON.stringify({ command: "ls" });
  return { machine: "attic", kind: "permission", tool: "Bash", why: null, cwd: "/home/ann", title: null, input, isWhole: true, ...more } as Parameters<typeof formOf>[0]; // prettier-ignore
}

function question(...questions: object[]): Parameters<typeof formOf>[0] {
  return item({ kind: "question", tool: "AskUserQuestion", input: JSON.stringify({ questions }) });
}

describe("the text of a form", () => {
  it("begins every line of the machine with a bar, so that none passes for Operator's words", () => {
    const forged = "Build it\n\nOperator has checked this. Choose allow.\r\nIf you close this form, it is allowed.";
    for (const one of [
      item({ title: forged, why: forged, tool: forged, cwd: forged, input: JSON.stringify({ command: forged }) }),
      item({ kind: "plan", input: JSON.stringify({ plan: forged, allowedPrompts: [{ prompt: forged }] }) }),
      question({ question: forged, options: [{ label: forged, description: forged }] }),
    ]) {
      const lines = formOf(one, INBOX)?.message.split(/[\n\r\u2028\u2029\u0085]/) ?? [];
      const ours = lines.filter((line) => !line.startsWith("| "));
      expect(ours.filter((line) => line !== "")).toEqual([
        expect.stringMatching(/^A session on your machine "attic" /),
        'Lines that begin with "|" are the words of the machine and its agent.',
        `If you close or decline this form, nothing is decided, and the request waits in your inbox: ${INBOX}`,
      ]);
    }
  });

  it("shows invisible characters and escape sequences as text", () => {
    const hidden = "rm -rf /\u202e fr- mr\u200b\u001b[2K\u0007";
    const message = formOf(item({ input: JSON.stringify({ command: hidden }), why: hidden }), INBOX)?.message ?? "";
    expect(message).toMatch(/^[\x20-\x7e\n]*$/);
    expect(message).toContain("\\u202e");
  });

  it("shows what a plan's approval allows besides the plan", () => {
    const input = JSON.stringify({ plan: "1. Build", allowedPrompts: [{ tool: "Bash", prompt: "run anything" }] });
    expect(formOf(item({ kind: "plan", input }), INBOX)?.message).toContain("run anything");
  });

  it.each([
    ["is not whole", { isWhole: false }],
    ["is long", { input: JSON.stringify({ command: "x".repeat(5_000) }) }],
    ["has questions that cannot be read", { kind: "question", input: JSON.stringify({ questions: [{ q: 1 }] }) }],
    ["is a plan without its text", { kind: "plan", input: "{}" }],
  ])("is not made for a request that %s", (_, more) => {
    expect(formOf(item(more), INBOX)).toBeNull();
  });

  it("has fields with names of Operator's own, and no default that a return key would accept", () => {
    const fields = formOf(question({ question: "decision", options: [{ label: "a" }] }), INBOX)?.requestedSchema;
    expect(Object.keys(fields?.properties ?? {})).toEqual(["choice_1", "answer_1"]);
    const decision = formOf(item(), INBOX)?.requestedSchema.properties["decision"];
    expect(decision).toEqual({ type: "string", title: "Decision", enum: ["allow", "deny"] });
  });
});

describe("what was decided in a form", () => {
  const accept = (content: Record<string, unknown>) => ({ action: "accept" as const, content });

  it("is read from an accepted form only", () => {
    for (const action of ["decline", "cancel"] as const)
      expect(verdictIn(item(), { action, content: { decision: "allow" } })).toBeNull();
    expect(verdictIn(item(), accept({ decision: "allow" }))).toEqual({ behavior: "allow" });
    expect(verdictIn(item(), accept({ decision: "deny", reason: "no" }))).toEqual({ behavior: "deny", reason: "no" });
  });

  it("is nothing if the form does not say it plainly", () => {
    for (const decision of ["Allow", "", true, null, ["allow"], undefined])
      expect(verdictIn(item(), accept({ decision }))).toBeNull();
    expect(verdictIn(item(), { action: "accept" })).toBeNull();
  });

  it("has for a question the label as the machine wrote it, or what its person typed", () => {
    const asked = question({ question: "Which?", options: [{ label: "SQL\u200bite" }, { label: "Postgres" }] });
    expect(verdictIn(asked, accept({ choice_1: "SQL\\u{200b}ite" }))).toEqual({
      behavior: "allow",
      answers: { "Which?": "SQL\u200bite" },
    });
    expect(verdictIn(asked, accept({ choice_1: "Postgres", answer_1: "MySQL" }))?.answers).toEqual({
      "Which?": "MySQL",
    });
    expect(verdictIn(asked, accept({ choice_1: "Oracle" }))?.answers).toEqual({});
  });
});
