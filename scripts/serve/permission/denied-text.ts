import type { AskKind } from "#protocol/ask.ts";

/** What the model reads when somebody denies a request without giving a reason. */
export function deniedText(kind: AskKind): string {
  switch (kind) {
    case "permission":
      return "The person responsible denied this. Do not try it in another way; say what you wanted and why.";
    case "question":
      return "The person responsible did not want to answer. Say what you assume, and go on only where it is safe.";
    case "plan":
      return "The person responsible did not approve the plan. Do not carry it out; ask what should be different.";
  }
}
