import * as z from "zod/mini";

/** MCP's tool annotations. Clients use them to decide which calls a person has to confirm. */
type Annotations = {
  readonly readOnlyHint: boolean;
  readonly destructiveHint: boolean;
  /** Has no meaning for a tool that only reads. */
  readonly idempotentHint?: boolean;
  readonly openWorldHint: boolean;
};

/** A tool of a coding machine, as both the machine and the unified endpoint list it. */
export type CodingTool<Input extends z.ZodMiniObject = z.ZodMiniObject> = {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly annotations: Annotations;
  /** The arguments that the machine accepts. An argument is required here only if every machine needs it. */
  readonly input: Input;
};

/** A tool's parameters in JSON Schema. */
export type InputSchema = {
  readonly type: "object";
  readonly properties: Record<string, { readonly type?: string; readonly description?: string }>;
  readonly required: readonly string[];
};

export const READS = { readOnlyHint: true, destructiveHint: false, openWorldHint: false } as const;

/** The call lets an agent run, which may change or delete anything that its permission mode allows, and reach the network. */
export const RUNS_AGENT = {
  readOnlyHint: false,
  destructiveHint: true,
  idempotentHint: false,
  openWorldHint: true,
} as const;

/** The call ends or overwrites something. Doing it twice has the same effect as doing it once. */
export const REPLACES = {
  readOnlyHint: false,
  destructiveHint: true,
  idempotentHint: true,
  openWorldHint: false,
} as const;

/** The call only adds something. */
export const ADDS = {
  readOnlyHint: false,
  destructiveHint: false,
  idempotentHint: false,
  openWorldHint: false,
} as const;

/** JSON Schema of a tool's parameters. It is kept short, because a model pays for every character. */
export function inputSchemaOf({ input }: CodingTool): InputSchema {
  const { properties = {}, required = [] } = z.toJSONSchema(input, {
    io: "input",
    override: ({ jsonSchema }) => {
      // For an object with arbitrary keys, JSON Schema's `type` says everything without these two.
      delete jsonSchema.propertyNames;
      delete jsonSchema.additionalProperties;
      // Models do not come near these lengths unless something is wrong. The machine's error then states the limit.
      delete jsonSchema.minLength;
      delete jsonSchema.maxLength;
      delete jsonSchema.maxItems;
      delete jsonSchema.minimum;
      delete jsonSchema.maximum;
    },
  });
  // zod's type of a property includes `true`, which only `z.any()` compiles to. No tool uses that.
  return { type: "object", properties: properties as InputSchema["properties"], required };
}

/** The error for a call without a required argument: which one is missing, and where to get it. */
export function missingArgument(tool: string, name: string, description: string | undefined): string {
  return `${tool} needs "${name}"${description === undefined ? "." : `: ${description}`}`;
}

/** Describes what is wrong with a call's arguments, one sentence per problem. */
export function argumentProblems(tool: CodingTool, given: unknown, { issues }: z.core.$ZodError): string {
  const { properties } = inputSchemaOf(tool);
  const names = typeof given === "object" && given !== null ? Object.keys(given) : [];
  const problems = issues.map(({ path, message }) => {
    const [name] = path;
    if (typeof name !== "string") return `${tool.name}: ${message}`;
    if (!names.includes(name)) return missingArgument(tool.name, name, properties[name]?.description);
    return `${tool.name}: "${path.join(".")}": ${message}`;
  });
  // A misspelt parameter is reported as missing. Naming what was given instead makes the mistake obvious.
  const unknown = names.filter((name) => properties[name] === undefined);
  if (unknown.length > 0) problems.push(`${tool.name} has no parameter "${unknown.join('", "')}".`);
  return problems.join(" ");
}
