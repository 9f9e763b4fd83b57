import * as z from "zod";
import { MAX_RULE_CHARACTERS, MAX_SESSION_RULES } from "#protocol/ask.ts";

/** One rule of Claude Code, such as `Bash(npm test:*)`. Without `ruleContent` it is about every use of the tool. */
const Rule = z.object({ toolName: z.string().min(1), ruleContent: z.string().optional() });

/** What Claude Code suggests with a request: rules to add, and other changes, which are never taken up here. */
const Suggestion = z.object({ type: z.literal("addRules"), behavior: z.literal("allow"), rules: z.array(Rule) });

export type SessionRule = z.infer<typeof Rule>;

/**
 * The rules of a request's suggestions that a person may accept for the rest of the session. Empty, so that nothing is offered, unless all
 * of them can be shown in full.
 *
 * Claude Code suggests to keep rules in a settings file, to change the permission mode, or to add folders. Each of these would allow
 * more than the session or more than the request, so only rules that allow something are taken, and only for the tool that asks.
 */
export function sessionRulesIn(suggestions: readonly unknown[], tool: string): SessionRule[] {
  const rules = suggestions.flatMap((one) => Suggestion.safeParse(one).data?.rules ?? []);
  const isShown = (rule: SessionRule): boolean =>
    rule.toolName === tool && rule.ruleContent !== "" && ruleText(rule).length <= MAX_RULE_CHARACTERS;
  return rules.length <= MAX_SESSION_RULES && rules.every(isShown) ? rules : [];
}

/** A rule as Claude Code's settings write it. */
export function ruleText({ toolName, ruleContent }: SessionRule): string {
  return ruleContent === undefined ? toolName : `${toolName}(${ruleContent})`;
}

/** The change of permissions that goes back to Claude Code: these rules, in this process only, in no file. */
export function sessionUpdate(rules: readonly SessionRule[]): Record<string, unknown> {
  return { type: "addRules", behavior: "allow", destination: "session", rules };
}
