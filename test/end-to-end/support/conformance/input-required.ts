import { createHmac, randomBytes } from "node:crypto";

/** The results that ask for input in 2026-07-28 (SEP-2322), as the suite expects them, by the names of its tools. */
export type Round = {
  readonly responses: Record<string, unknown> | undefined;
  readonly state: string | undefined;
  readonly capabilities: Record<string, unknown>;
};

/** A state that was not made here, or was changed on its way. */
export class BadState extends Error {}

const KEY = randomBytes(32);

const text = (said: string) => ({ content: [{ type: "text", text: said }] });

function form(message: string, name: string, type: string): object {
  const requestedSchema = { type: "object", properties: { [name]: { type } }, required: [name] };
  return { method: "elicitation/create", params: { mode: "form", message, requestedSchema } };
}

function sampling(said: string, maxTokens: number): object {
  const messages = [{ role: "user", content: { type: "text", text: said } }];
  return { method: "sampling/createMessage", params: { messages, maxTokens } };
}

const ROOTS = { method: "roots/list", params: {} };

function required(inputRequests: Record<string, object>, state?: string): object {
  const signed = state === undefined ? {} : { requestState: sign(state) };
  return { resultType: "input_required", inputRequests, ...signed };
}

function sign(state: string): string {
  return `${state}.${createHmac("sha256", KEY).update(state).digest("hex")}`;
}

function opened(state: string | undefined): string | null {
  if (state === undefined) return null;
  const [said = ""] = state.split(".");
  if (sign(said) !== state) throw new BadState("Invalid or expired requestState");
  return said;
}

/** A form's accepted answer, or `null` when it isn't one with that field. */
function accepted(response: unknown, field: string): unknown {
  const { action, content } = (response ?? {}) as { action?: unknown; content?: Record<string, unknown> };
  return action === "accept" ? (content?.[field] ?? null) : null;
}

const NAME = form("What is your name?", "name", "string");

export const INPUT_TOOLS: Readonly<Record<string, (round: Round) => object>> = {
  test_input_required_result_elicitation: ({ responses }) => {
    const name = accepted(responses?.["user_name"], "name");
    return typeof name === "string" ? text(`Hello, ${name}!`) : required({ user_name: NAME });
  },
  test_input_required_result_sampling: ({ responses }) => {
    const answer = responses?.["capital_question"];
    if (answer === undefined) return required({ capital_question: sampling("What is the capital of France?", 100) });
    return text(`The model said: ${JSON.stringify(answer)}`);
  },
  test_input_required_result_list_roots: ({ responses }) => {
    const roots = responses?.["client_roots"];
    return roots === undefined ? required({ client_roots: ROOTS }) : text(`Roots: ${JSON.stringify(roots)}`);
  },
  test_input_required_result_request_state: ({ responses, state }) => {
    if (opened(state) !== "asked" || responses?.["confirm"] === undefined)
      return required({ confirm: form("Please confirm", "ok", "boolean") }, "asked");
    return text("state-ok");
  },
  test_input_required_result_multiple_inputs: ({ responses, state }) => {
    const asked = { user_name: NAME, greeting: sampling("Generate a greeting", 50), client_roots: ROOTS };
    const missing = Object.keys(asked).some((key) => responses?.[key] === undefined);
    return opened(state) !== "asked" || missing ? required(asked, "asked") : text("All there.");
  },
  test_input_required_result_multi_round: ({ responses, state }) => {
    switch (opened(state)) {
      case "first":
        return required({ step2: form("Step 2: What is your favorite color?", "color", "string") }, "second");
      case "second":
        return text(`Done: ${JSON.stringify(responses)}`);
      default:
        return required({ step1: form("Step 1: What is your name?", "name", "string") }, "first");
    }
  },
  test_input_required_result_tampered_state: ({ state }) =>
    opened(state) === null
      ? required({ confirm: form("Please confirm", "ok", "boolean") }, "asked")
      : text("Untouched."),
  test_input_required_result_capabilities: ({ responses, capabilities }) => {
    if (responses !== undefined) return text("Thank you.");
    const asked = {
      ...(capabilities["elicitation"] === undefined ? {} : { user_name: NAME }),
      ...(capabilities["sampling"] === undefined ? {} : { greeting: sampling("Generate a greeting", 50) }),
      ...(capabilities["roots"] === undefined ? {} : { client_roots: ROOTS }),
    };
    return Object.keys(asked).length === 0 ? text("Nothing to ask.") : required(asked);
  },
  test_streaming_elicitation: ({ responses }) =>
    responses === undefined ? required({ user_name: NAME }) : text("Thank you."),
};

/** A prompt that asks first. */
export function inputPrompt({ responses }: Round): object {
  const context = accepted(responses?.["user_context"], "context");
  if (typeof context !== "string")
    return required({ user_context: form("What context should the prompt use?", "context", "string") });
  return { messages: [{ role: "user", content: { type: "text", text: `In the context of ${context}.` } }] };
}
