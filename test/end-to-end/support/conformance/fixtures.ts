/**
 * What the public conformance suite wants to find at a server, by the names and texts that its scenarios ask for
 * (`conformance list --server`): tools, resources and prompts, as plain JSON that both revisions' servers hand out.
 */

/** A red pixel, and a silence of one sample. */
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAAAA==";

const NONE = { type: "object", properties: {} } as const;
const text = (said: string) => ({ type: "text", text: said });
const resource = (uri: string, mimeType: string, said: string) => ({
  type: "resource",
  resource: { uri, mimeType, text: said },
});

/** What a tool of the suite can do while it runs. Each era's server implements it. */
export type Means = {
  readonly pause: () => Promise<void>;
  readonly log: (message: string) => Promise<void>;
  readonly progress: (progress: number, total: number) => Promise<void>;
  /** A request of the server's own to the client; only the 2025 era has them. */
  readonly ask: (method: string, params: object) => Promise<Record<string, unknown>>;
  /** Closes the stream of this answer, to see the client come back for it. */
  readonly closeStream: () => void;
};

type Tool = {
  readonly description: string;
  readonly inputSchema: { readonly type: "object"; readonly [keyword: string]: unknown };
  readonly run: (args: Record<string, unknown>, means: Means) => Promise<object> | object;
};

const ADDRESS = { type: "object", properties: { street: { type: "string" }, city: { type: "string" } } };

/** A tool that asks the person at the client, and says what came back. */
function asking(properties: object, required: string[] = []): Tool {
  const requestedSchema = { type: "object", properties, required };
  return {
    description: "Ask the person.",
    inputSchema: NONE,
    run: async (_, { ask }) => {
      const { action, content } = await ask("elicitation/create", { message: "Please fill this in", requestedSchema });
      return { content: [text(`Elicitation completed: action=${String(action)}, content=${JSON.stringify(content)}`)] };
    },
  };
}

const choice = (value: string, title: string) => ({ const: value, title });

export const TOOLS: Readonly<Record<string, Tool>> = {
  test_simple_text: {
    description: "Text.",
    inputSchema: NONE,
    run: () => ({ content: [text("This is a simple text response for testing.")] }),
  },
  test_image_content: {
    description: "An image.",
    inputSchema: NONE,
    run: () => ({ content: [{ type: "image", data: PNG, mimeType: "image/png" }] }),
  },
  test_audio_content: {
    description: "A sound.",
    inputSchema: NONE,
    run: () => ({ content: [{ type: "audio", data: WAV, mimeType: "audio/wav" }] }),
  },
  test_embedded_resource: {
    description: "A resource.",
    inputSchema: NONE,
    run: () => ({
      content: [resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")],
    }),
  },
  test_multiple_content_types: {
    description: "Several kinds at once.",
    inputSchema: NONE,
    run: () => ({
      content: [
        text("Multiple content types test:"),
        { type: "image", data: PNG, mimeType: "image/png" },
        resource("test://mixed-content-resource", "application/json", `{"test":"data","value":123}`),
      ],
    }),
  },
  test_tool_with_logging: {
    description: "Say what happens.",
    inputSchema: NONE,
    run: async (_, { log, pause }) => {
      await log("Tool execution started");
      await pause();
      await log("Tool processing data");
      await pause();
      await log("Tool execution completed");
      return { content: [text("Logged.")] };
    },
  },
  test_logging_tool: {
    description: "Say something, to whoever asked for it.",
    inputSchema: NONE,
    run: async (_, { log }) => {
      await log("said");
      return { content: [text("Said.")] };
    },
  },
  test_tool_with_progress: {
    description: "Say how far it is.",
    inputSchema: NONE,
    run: async (_, { progress, pause }) => {
      for (const done of [0, 50, 100]) {
        await progress(done, 100);
        await pause();
      }
      return { content: [text("Done.")] };
    },
  },
  test_error_handling: {
    description: "Fail.",
    inputSchema: NONE,
    run: () => ({ isError: true, content: [text("This tool intentionally returns an error for testing")] }),
  },
  test_reconnection: {
    description: "Close the stream before the answer.",
    inputSchema: NONE,
    run: async (_, { closeStream, pause }) => {
      closeStream();
      await pause();
      return { content: [text("The answer, for who came back.")] };
    },
  },
  test_sampling: {
    description: "Ask the client's model.",
    inputSchema: { type: "object", properties: { prompt: { type: "string" } }, required: ["prompt"] },
    run: async ({ prompt }, { ask }) => {
      const messages = [{ role: "user", content: text(String(prompt)) }];
      const { content } = await ask("sampling/createMessage", { messages, maxTokens: 100 });
      return { content: [text(`LLM response: ${JSON.stringify(content)}`)] };
    },
  },
  test_elicitation: {
    description: "Ask the person.",
    inputSchema: { type: "object", properties: { message: { type: "string" } }, required: ["message"] },
    run: async ({ message }, { ask }) => {
      const answer = { type: "string", description: "User's response" };
      const requestedSchema = {
        type: "object",
        properties: { username: answer, email: { ...answer, description: "User's email address" } },
        required: ["username", "email"],
      };
      const { action, content } = await ask("elicitation/create", { message, requestedSchema });
      return { content: [text(`User response: action: ${String(action)}, content: ${JSON.stringify(content)}`)] };
    },
  },
  test_elicitation_sep1034_defaults: asking({
    name: { type: "string", default: "John Doe" },
    age: { type: "integer", default: 30 },
    score: { type: "number", default: 95.5 },
    status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
    verified: { type: "boolean", default: true },
  }),
  test_elicitation_sep1330_enums: asking({
    untitledSingle: { type: "string", enum: ["option1", "option2", "option3"] },
    titledSingle: {
      type: "string",
      oneOf: [choice("value1", "First Option"), choice("value2", "Second Option"), choice("value3", "Third Option")],
    },
    legacyEnum: {
      type: "string",
      enum: ["opt1", "opt2", "opt3"],
      enumNames: ["Option One", "Option Two", "Option Three"],
    },
    untitledMulti: { type: "array", items: { type: "string", enum: ["option1", "option2", "option3"] } },
    titledMulti: {
      type: "array",
      items: {
        anyOf: [choice("value1", "First Choice"), choice("value2", "Second Choice"), choice("value3", "Third Choice")],
      },
    },
  }),
  json_schema_2020_12_tool: {
    description: "Tool with JSON Schema 2020-12 features",
    inputSchema: {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      $defs: { address: { $anchor: "addressDef", ...ADDRESS } },
      properties: {
        name: { type: "string" },
        address: { $ref: "#/$defs/address" },
        contactMethod: { type: "string", enum: ["phone", "email"] },
        phone: { type: "string" },
        email: { type: "string" },
      },
      allOf: [{ anyOf: [{ required: ["phone"] }, { required: ["email"] }] }],
      if: { properties: { contactMethod: { const: "phone" } }, required: ["contactMethod"] },
      // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
      then: { required: ["phone"] },
      else: { required: ["email"] },
      additionalProperties: false,
    },
    run: () => ({ content: [text("Valid.")] }),
  },
  test_header_parameter: {
    description: "A parameter that travels in a header too.",
    inputSchema: {
      type: "object",
      properties: { region: { type: "string", "x-mcp-header": "Region" } },
      required: ["region"],
    },
    run: ({ region }) => ({ content: [text(`Region: ${String(region)}`)] }),
  },
};

export const RESOURCES = [
  { uri: "test://static-text", name: "text", description: "A text.", mimeType: "text/plain" },
  { uri: "test://static-binary", name: "binary", description: "An image.", mimeType: "image/png" },
  { uri: "test://watched-resource", name: "watched", description: "One to watch.", mimeType: "text/plain" },
];

export const TEMPLATES = [
  {
    uriTemplate: "test://template/{id}/data",
    name: "template",
    description: "One of many.",
    mimeType: "application/json",
  },
];

/** The contents of a resource, or `null` when there is none. */
export function readResource(uri: string): object[] | null {
  if (uri === "test://static-text")
    return [{ uri, mimeType: "text/plain", text: "This is the content of the static text resource." }];
  if (uri === "test://static-binary") return [{ uri, mimeType: "image/png", blob: PNG }];
  if (uri === "test://watched-resource") return [{ uri, mimeType: "text/plain", text: "Watched." }];
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id === undefined) return null;
  const said = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });
  return [{ uri, mimeType: "application/json", text: said }];
}

const argument = (name: string) => ({ name, description: `The ${name}.`, required: true });

export const PROMPTS = [
  { name: "test_simple_prompt", description: "A text." },
  {
    name: "test_prompt_with_arguments",
    description: "With arguments.",
    arguments: [argument("arg1"), argument("arg2")],
  },
  { name: "test_prompt_with_embedded_resource", description: "With a resource.", arguments: [argument("resourceUri")] },
  { name: "test_prompt_with_image", description: "With an image." },
];

/** The messages of a prompt, or `null` when there is none. */
export function getPrompt(name: string, args: Record<string, string> = {}): object[] | null {
  const user = (...contents: object[]) => contents.map((content) => ({ role: "user", content }));
  switch (name) {
    case "test_simple_prompt":
      return user(text("This is a simple prompt for testing."));
    case "test_prompt_with_arguments":
      return user(text(`Prompt with arguments: arg1='${args["arg1"]}', arg2='${args["arg2"]}'`));
    case "test_prompt_with_embedded_resource":
      return user(
        resource(args["resourceUri"] ?? "", "text/plain", "Embedded resource content for testing."),
        text("Please process the embedded resource above."),
      );
    case "test_prompt_with_image":
      return user({ type: "image", data: PNG, mimeType: "image/png" }, text("Please analyze the image above."));
    default:
      return null;
  }
}

export const COMPLETION = { completion: { values: ["paris", "park", "party"], total: 3, hasMore: false } };
