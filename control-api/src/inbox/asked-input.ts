import { type Question, Questions } from "#protocol/ask.ts";
import { isRecord, parseJson } from "#protocol/json.ts";
import type { InboxItem } from "./inbox-item.ts";

/** The tool's input. */
export function inputOf({ input }: Pick<InboxItem, "input">): unknown {
  return parseJson(input);
}

/** The questions that are asked; empty if they cannot be read. */
export function questionsOf(item: Pick<InboxItem, "input">): Question[] {
  const input = inputOf(item);
  return Questions.safeParse(isRecord(input) ? input["questions"] : null).data ?? [];
}

/** The text of a plan; `null` if the machine did not send it. */
export function planOf(item: Pick<InboxItem, "input">): string | null {
  const input = inputOf(item);
  return isRecord(input) && typeof input["plan"] === "string" ? input["plan"] : null;
}
