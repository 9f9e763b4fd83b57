import * as z from "zod/mini";

/** MCP's hints on what a tool does; clients decide by them which calls to confirm with a person. */
export type Annotations = {
  readonly readOnlyHint: boolean;
  readonly destructiveHint: boolean;
  /** Means nothing for a tool that only reads. */
  readonly idempotentHint?: boolean;
  readonly openWorldHint: boolean;
};

/** A tool of a coding machine, as the machine and the unified endpoint both list it. */
export type CodingTool<Input extends z.ZodMiniObject = z.ZodMiniObject> = {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly annotations: Annotations;
  /** The arguments as the machine accepts them. `required` is what no machine can do without. */
  readonly input: Input;
};

/** A tool's parameters in JSON Schema. */
export type InputSchema = {
  readonly type: "object";
  readonly properties: Record<string, { readonly type?: string; readonly description?: string }>;
  readonly required: readonly string[];
};

export const READS = { readOnlyHint: true, destructiveHint: false, openWorldHint: false } as const;

/** Lets an agent run: it may change or delete anything that its permission mode allows, and reach the network. */
export const RUNS_AGENT = {
  readOnlyHint: false,
  destructiveHint: true,
  idempotentHint: false,
  openWorldHint: true,
} as const;

/** Ends or overwrites something; doing it twice is the same as doing it once. */
export const REPLACES = {
  readOnlyHint: false,
  destructiveHint: true,
  idempotentHint: true,
  openWorldHint: false,
} as const;

/** Only adds something new. */
export const ADDS = {
  readOnlyHint: false,
  destructiveHint: false,
  idempotentHint: false,
  openWorldHint: false,
} as const;

/** JSON Schema of a tool's parameters, as short as it can be: a model pays for each character of it. */
export function inputSchemaOf({ input }: CodingTool): InputSchema {
  const { properties = {}, required = [] } = z.toJSONSchema(input, {
    io: "input",
    override: ({ jsonSchema }) => {
      // Any object at all: JSON Schema's `type` says that without these two.
      delete jsonSchema.propertyNames;
      delete jsonSchema.additionalProperties;
      // Lengths that no model comes near on purpose; whoever does is told by the machine.
      delete jsonSchema.minLength;
      delete jsonSchema.maxLength;
      delete jsonSchema.maxItems;
    },
  });
  // zod's type of a property allows for `true` as well, which only a schema of `any` becomes.
  return { type: "object", properties: properties as InputSchema["properties"], required };
}

/** What a call without a required argument is told: which one is missing, and where to get it. */
export function missingArgument(tool: string, name: string, description: string | undefined): string {
  return `${tool} needs "${name}"${description === undefined ? "." : `: ${description}`}`;
}

/** What is wrong with a call's arguments, one sentence for each of them. */
export function argumentProblems(tool: CodingTool, given: unknown, { issues }: z.core.$ZodError): string {
  const { properties } = inputSchemaOf(tool);
  const names = typeof given === "object" && given !== null ? Object.keys(given) : [];
  const problems = issues.map(({ path, message }) => {
    const [name] = path;
    if (typeof name !== "string") return `${tool.name}: ${message}`;
    if (!names.includes(name)) return missingArgument(tool.name, name, properties[name]?.description);
    return `${tool.name}: "${path.join(".")}": ${message}`;
  });
  // A misspelt parameter shows as a missing one; the name that was given makes the mistake plain.
  const unknown = names.filter((name) => properties[name] === undefined);
  if (unknown.length > 0) problems.push(`${tool.name} has no parameter "${unknown.join('", "')}".`);
  return problems.join(" ");
}
