import * as z from "zod/mini";
import { isRecord } from "./json.ts";

/**
 * What a session may wait for: a person allows a tool call, answers questions of the agent, or approves a plan. The machine that runs
 * the session settles each of them exactly once; Operator shows them and passes decisions on.
 */
export const AskKind = z.enum(["permission", "question", "plan"]);
export type AskKind = z.infer<typeof AskKind>;

/** The type of the event with which each kind begins to wait. */
export const ASKED_TYPE = {
  permission: "permission.requested",
  question: "question.asked",
  plan: "plan.proposed",
} as const satisfies Record<AskKind, string>;

/** The type of the event that says how it was settled. */
export const SETTLED_TYPE = {
  permission: "permission.resolved",
  question: "question.answered",
  plan: "plan.resolved",
} as const satisfies Record<AskKind, string>;

/** Characters of a request's id. Those of agents are UUIDs. */
export const MAX_REQUEST_ID_CHARACTERS = 200;

/** The explanation that the agent gets with a denial: a paragraph. */
export const MAX_ASK_REASON_CHARACTERS = 2_000;

/** One answer to one question of an agent: about a screen of text. */
const MAX_ANSWER_CHARACTERS = 4_000;

/** An agent asks up to four questions at once (Claude Code's AskUserQuestion). More than this is not meant for a person. */
const MAX_QUESTIONS = 20;

/**
 * What is asked, as JSON, up to this length is shown as it is. An event may have 64 KB; the rest is for what is around it. Something
 * longer is shown up to `CUT_ASK_CHARACTERS` and marked as cut, and can only be allowed where a person sees all of it: at the machine.
 */
export const MAX_ASK_CHARACTERS = 48 * 1024;
/** As JSON text inside JSON, each character may take two. */
export const CUT_ASK_CHARACTERS = 16 * 1024;

/** Rules that a request can be allowed with for the rest of its session. Agents suggest one to three; a person reads all of them. */
export const MAX_SESSION_RULES = 10;
/** A rule is a tool and a pattern, such as `Bash(npm test:*)`. A longer one is a whole command, which nobody compares. */
export const MAX_RULE_CHARACTERS = 300;

/** One question of an agent, as Claude Code's AskUserQuestion has it. */
export const Question = z.looseObject({
  question: z.string().check(z.minLength(1)),
  header: z.optional(z.string()),
  multiSelect: z.optional(z.boolean()),
  options: z.optional(z.array(z.looseObject({ label: z.string(), description: z.optional(z.string()) }))),
});
export type Question = z.infer<typeof Question>;

/** No two have the same text, since answers are by the text: the answer to one would count for the other. */
export const Questions = z.array(Question).check(
  z.minLength(1),
  z.maxLength(MAX_QUESTIONS),
  z.refine((questions) => new Set(questions.map(({ question }) => question)).size === questions.length),
);

/** The answer to each question, by the question's text. Several chosen options are one text with commas in between. */
export const Answers = z.record(z.string(), z.string().check(z.minLength(1), z.maxLength(MAX_ANSWER_CHARACTERS)));
export type Answers = z.infer<typeof Answers>;

/**
 * A person's decision, from Operator to the machine. `by` is the person, in words for a person who decides later. A question is answered
 * with `allow` and `answers`, and declined with `deny`; a plan is sent back with `deny` and a reason.
 */
export const Decision = z.object({
  request: z.string().check(z.minLength(1), z.maxLength(MAX_REQUEST_ID_CHARACTERS)),
  behavior: z.enum(["allow", "deny"]),
  reason: z.optional(z.string().check(z.maxLength(MAX_ASK_REASON_CHARACTERS))),
  answers: z.optional(Answers),
  /** With `allow`: also what the request's session rules say, until the session's process ends. */
  forSession: z.optional(z.boolean()),
  by: z.string().check(z.minLength(1), z.maxLength(128)),
});
export type Decision = z.infer<typeof Decision>;

/** How a request was settled, as machines tell it. `who` is absent where no person decided. */
export const Settlement = z.object({
  behavior: z.enum(["allow", "deny"]),
  by: z.string(),
  who: z.optional(z.nullable(z.string())),
  reason: z.nullable(z.string()),
  answers: z.optional(z.nullable(z.record(z.string(), z.string()))),
  forSession: z.optional(z.boolean()),
  atMs: z.number(),
});
export type Settlement = z.infer<typeof Settlement>;

/** A machine's answer to a decision that it took, or had taken before. */
export const Decided = z.object({
  request: z.looseObject({ settled: Settlement }),
  already_settled: z.boolean(),
});
export type Decided = z.infer<typeof Decided>;

/** A machine's answer to a decision that it did not take. `settled`: how the request was settled before. */
export const Undecided = z.object({
  code: z.string(),
  error: z.string(),
  settled: z.optional(z.nullable(Settlement)),
});
export type Undecided = z.infer<typeof Undecided>;

/** Names of an agent's tools that ask a person. */
const QUESTION_TOOL = "AskUserQuestion";
const PLAN_TOOL = "ExitPlanMode";

/** Which kind a tool's request is. Questions of a shape that is not known are shown as any other tool call. */
export function askKindOf(tool: string, input: unknown): AskKind {
  if (tool === PLAN_TOOL) return "plan";
  if (tool === QUESTION_TOOL && isRecord(input) && Questions.safeParse(input["questions"]).success) return "question";
  return "permission";
}

/**
 * What is asked in full, or its beginning with a mark. Never a part without a mark. A plan whose text the agent did not pass on (it may be
 * in a file only) is not shown whole, either.
 */
export function boundedAsk(kind: AskKind, input: unknown): { input: unknown; isWhole: boolean } {
  const json = JSON.stringify(input ?? null);
  const lacksPlan = kind === "plan" && !(isRecord(input) && typeof input["plan"] === "string" && input["plan"] !== "");
  if (json.length <= MAX_ASK_CHARACTERS) return { input, isWhole: !lacksPlan };
  return { input: { cut: json.slice(0, CUT_ASK_CHARACTERS).toWellFormed(), characters: json.length }, isWhole: false };
}

/** What is wrong with the answers to these questions, in a sentence; `null` if nothing is. */
export function answersProblem(questions: readonly Question[], answers: Answers | undefined): string | null {
  const asked = questions.map(({ question }) => question);
  if (answers === undefined) return "A question needs answers: an object with each question's text and its answer.";
  const missing = asked.find((question) => !Object.hasOwn(answers, question));
  if (missing !== undefined) return `There is no answer to the question "${missing}".`;
  const unknown = Object.keys(answers).find((question) => !asked.includes(question));
  return unknown === undefined ? null : `Nobody asked "${unknown}".`;
}

type Comparable = {
  behavior: string;
  answers?: Readonly<Record<string, string>> | null | undefined;
  forSession?: boolean | undefined;
};

/** Whether two decisions are the same, so that the second one changes nothing. Reasons are words, and do not matter. */
export function isSameDecision(one: Comparable, other: Comparable): boolean {
  if (one.behavior !== other.behavior || (one.forSession ?? false) !== (other.forSession ?? false)) return false;
  const [some, others] = [Object.entries(one.answers ?? {}), other.answers ?? {}];
  return (
    some.length === Object.keys(others).length &&
    some.every(([question, answer]) => Object.hasOwn(others, question) && others[question] === answer)
  );
}
