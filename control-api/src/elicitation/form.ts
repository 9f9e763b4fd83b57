import type { ElicitRequestFormParams } from "@modelcontextprotocol/server";
import * as z from "zod/mini";
import { isRecord } from "#protocol/json.ts";
import { printable, printableJson } from "#protocol/printable.ts";
import { inputOf, planOf, questionsOf } from "../inbox/asked-input.ts";
import { DecisionRequest } from "../inbox/decision-request.ts";
import type { InboxItem, Verdict } from "../inbox/inbox-item.ts";
import { MAX_CHOICE_CHARACTERS, MAX_CHOICES, MAX_FORM_CHARACTERS } from "./limits.ts";

/** A form as MCP's `elicitation/create` has it. Every revision that knows elicitation understands these fields. */
export type Form = Pick<ElicitRequestFormParams, "message" | "requestedSchema">;

/** What a client answers to a form. Only `accept` has content; `decline` and `cancel` decide nothing. */
export const ClientAnswer = z.object({
  action: z.enum(["accept", "decline", "cancel"]),
  content: z.optional(z.nullable(z.record(z.string(), z.unknown()))),
});
export type ClientAnswer = z.infer<typeof ClientAnswer>;

type Asked = Pick<InboxItem, "machine" | "kind" | "tool" | "why" | "cwd" | "title" | "input" | "isWhole">;

/**
 * The form for a request, or `null` if it cannot be shown in full and so must be decided elsewhere.
 *
 * Everything in a request was written by the machine, or by the model that works there. Each of its lines begins with `|`, its invisible
 * characters are escaped, and names of fields are ours. So it cannot pass for Operator's words, add a field, or hide a part of a command.
 */
export function formOf(item: Asked, inboxUrl: string): Form | null {
  const theirs = linesOf(item);
  if (!item.isWhole || theirs === null) return null;
  const message = [
    headOf(item),
    'Lines that begin with "|" are the words of the machine and its agent.',
    "",
    ...theirs.map((line) => `| ${line}`),
    "",
    `If you close or decline this form, nothing is decided, and the request waits in your inbox: ${inboxUrl}`,
  ].join("\n");
  if (message.length > MAX_FORM_CHARACTERS) return null;
  const properties = item.kind === "question" ? answerFields(item) : decisionFields();
  const required = item.kind === "question" ? [] : ["decision"];
  return { message, requestedSchema: { type: "object", properties, required } };
}

/** What the person decided in the form of this request; `null` if that is not a decision. */
export function verdictIn(item: Pick<InboxItem, "kind" | "input">, { action, content }: ClientAnswer): Verdict | null {
  if (action !== "accept" || content === undefined || content === null) return null;
  const given =
    item.kind === "question"
      ? { behavior: "allow", answers: answersIn(item, content) }
      : { behavior: content["decision"], ...(isText(content["reason"]) ? { reason: content["reason"] } : {}) };
  const verdict = DecisionRequest.safeParse(given).data;
  if (verdict === undefined) return null;
  const { behavior, reason, answers } = verdict;
  return {
    behavior,
    ...(reason === undefined ? {} : { reason }),
    ...(answers === undefined ? {} : { answers }),
  };
}

function headOf({ kind, machine }: Asked): string {
  switch (kind) {
    case "permission":
      return `A session on your machine "${machine}" asks for your permission to use a tool.`;
    case "question":
      return `A session on your machine "${machine}" has a question for you.`;
    case "plan":
      return `A session on your machine "${machine}" asks whether it may carry out its plan.`;
  }
}

/** The machine's words, line by line; `null` if what is asked cannot be read. */
function linesOf(item: Asked): string[] | null {
  const { kind, tool, why, cwd, title } = item;
  const about = [
    ...(title === null ? [] : [`session: ${printable(title)}`]),
    ...(cwd === null ? [] : [`folder: ${printable(cwd)}`]),
  ];
  const input = inputOf(item);
  switch (kind) {
    case "permission":
      return [
        ...about,
        `tool: ${printable(tool)}`,
        ...(why === null ? [] : [`why: ${printable(why)}`]),
        ...printableJson(input, 2).split("\n"),
      ];
    case "question": {
      const questions = questionsOf(item);
      const asked = questions.flatMap(({ question, options = [], multiSelect }, index) => [
        `${index + 1}. ${printable(question)}${multiSelect === true ? " (several answers are possible)" : ""}`,
        ...options.map(
          ({ label, description }) =>
            `   - ${printable(label)}${description === undefined ? "" : `: ${printable(description)}`}`,
        ),
      ]);
      return questions.length === 0 ? null : [...about, ...asked];
    }
    case "plan": {
      const plan = planOf(item);
      if (plan === null || !isRecord(input)) return null;
      const { plan: _, ...rest } = input;
      // An approval may allow more than the plan says (`allowedPrompts`).
      const more = Object.keys(rest).length === 0 ? [] : printableJson(rest, 2).split("\n");
      return [...about, ...plan.split("\n").map(printable), ...more];
    }
  }
}

type Fields = Form["requestedSchema"]["properties"];

/** No default: a person who only presses return must not allow anything. */
function decisionFields(): Fields {
  return {
    decision: { type: "string", title: "Decision", enum: ["allow", "deny"] },
    reason: { type: "string", title: "Reason", description: "With deny: what the agent is told. May be empty." },
  };
}

/** Fields for the answers. They have numbers, since the questions' texts are the machine's. */
function answerFields(item: Pick<InboxItem, "input">): Fields {
  const fields: Fields = {};
  for (const [index, question] of questionsOf(item).entries()) {
    const number = index + 1;
    const choices = choicesOf(question);
    if (choices !== null)
      fields[`choice_${number}`] = { type: "string", title: `Answer to question ${number}`, enum: choices };
    fields[`answer_${number}`] = {
      type: "string",
      title: choices === null ? `Answer to question ${number}` : `Another answer to question ${number}`,
      description: choices === null ? "Several choices: with commas in between." : "Instead of a choice above.",
    };
  }
  return fields;
}

/** The options of a question as choices; `null` if it has none, several may be chosen, or they do not fit a list. */
function choicesOf({ options = [], multiSelect }: ReturnType<typeof questionsOf>[number]): string[] | null {
  const labels = options.map(({ label }) => printable(label));
  const fits = labels.every((label) => label !== "" && label.length <= MAX_CHOICE_CHARACTERS);
  const isList = labels.length > 0 && labels.length <= MAX_CHOICES && new Set(labels).size === labels.length;
  return fits && isList && multiSelect !== true ? labels : null;
}

function answersIn(item: Pick<InboxItem, "input">, content: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    questionsOf(item).flatMap((question, index) => {
      const own = content[`answer_${index + 1}`];
      if (isText(own)) return [[question.question, own]];
      const chosen = choicesOf(question)?.indexOf(String(content[`choice_${index + 1}`])) ?? -1;
      // The label as the machine wrote it, which the agent knows.
      const label = question.options?.[chosen]?.label;
      return label === undefined ? [] : [[question.question, label]];
    }),
  );
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.trim() !== "";
}
