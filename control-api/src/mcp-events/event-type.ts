import { isRecord } from "#protocol/json.ts";

/** The type of one field of a payload. `json` is whatever the agent or the machine's server put there. */
type FieldType = "string" | "number" | "json";

/** A payload's fields besides `machine` and `session`, with their types. They are named as in the log. */
type Fields = Readonly<Record<string, FieldType>>;

/** One type of event that clients can subscribe to. */
export type EventType = {
  readonly name: string;
  readonly description: string;
  /** Types in the log that may stand for this event. */
  readonly logTypes: readonly string[];
  /** Whether it concerns a session, and can be filtered by one. */
  readonly isOfSession: boolean;
  readonly fields: Fields;
};

const TURN_COMPLETED = "turn.completed";

/**
 * All types. The names are a promise: a subscription outlives a deployment. So a type may get further fields, and never loses one
 * (SEP-3415, "Schema evolution").
 */
export const EVENT_TYPES: readonly EventType[] = [
  {
    name: "permission.requested",
    description: "An agent waits for a person to allow or deny a tool call.",
    logTypes: ["permission.requested"],
    isOfSession: true,
    fields: {
      request_id: "string",
      tool: "string",
      input: "json",
      why: "string",
      cwd: "string",
      expires_at_ms: "number",
    },
  },
  {
    name: "permission.resolved",
    description: "A permission request was answered, withdrawn or has expired.",
    logTypes: ["permission.resolved"],
    isOfSession: true,
    fields: { request_id: "string", behavior: "string", settled_by: "string", who: "string", reason: "string" },
  },
  {
    name: "question.asked",
    description: "An agent asks a person a question and waits for the answer.",
    logTypes: ["question.asked"],
    isOfSession: true,
    fields: { request_id: "string", questions: "json", expires_at_ms: "number" },
  },
  {
    name: "question.answered",
    description: "An agent's question was answered or declined, or nobody answered in time.",
    logTypes: ["question.answered"],
    isOfSession: true,
    fields: {
      request_id: "string",
      behavior: "string",
      settled_by: "string",
      who: "string",
      reason: "string",
      answers: "json",
    },
  },
  {
    name: "plan.proposed",
    description: "An agent proposes a plan and waits for a person to approve it.",
    logTypes: ["plan.proposed"],
    isOfSession: true,
    fields: { request_id: "string", plan: "string", expires_at_ms: "number" },
  },
  {
    name: "plan.resolved",
    description: "A plan was approved or sent back, or nobody decided in time.",
    logTypes: ["plan.resolved"],
    isOfSession: true,
    fields: { request_id: "string", behavior: "string", settled_by: "string", who: "string", reason: "string" },
  },
  {
    name: TURN_COMPLETED,
    description: "A session has finished a turn. `result` is the agent's answer.",
    logTypes: [TURN_COMPLETED, "session.idle", "session.updated"],
    isOfSession: true,
    fields: { turn_id: "string", outcome: "string", result: "string", cost_usd: "number", queued: "number" },
  },
  {
    name: "session.created",
    description: "A session was started.",
    logTypes: ["session.created"],
    isOfSession: true,
    fields: { slug: "string", cwd: "string", title: "string", model: "string" },
  },
  {
    name: "session.failed",
    description: "A turn failed, or a session's process ended unexpectedly.",
    logTypes: ["session.error"],
    isOfSession: true,
    fields: { turn_id: "string", message: "string", last_output: "string", lost_prompts: "number" },
  },
  {
    name: "machine.online",
    description: "A machine has connected.",
    logTypes: ["machine.online"],
    isOfSession: false,
    fields: {},
  },
  {
    name: "machine.offline",
    description: "A machine's connection has ended.",
    logTypes: ["machine.offline"],
    isOfSession: false,
    fields: {},
  },
];

export const EVENT_TYPE_BY_NAME: ReadonlyMap<string, EventType> = new Map(EVENT_TYPES.map((type) => [type.name, type]));

/** Which event an entry of the log stands for. */
const TYPE_BY_LOG_TYPE: ReadonlyMap<string, EventType> = new Map(
  EVENT_TYPES.flatMap((type) => type.logTypes.map((logType): [string, EventType] => [logType, type])),
);

/**
 * The event that an entry of the log stands for, or `null`. At most one, so that an entry's id is also the event's. A change of a
 * session's status ends a turn only if it says how the turn ended: then a queued prompt follows at once and the session is never idle.
 */
export function eventTypeOf(logType: string, data: unknown): EventType | null {
  const type = TYPE_BY_LOG_TYPE.get(logType) ?? null;
  if (logType === "session.updated") return isRecord(data) && typeof data["outcome"] === "string" ? type : null;
  return type;
}

/** An event type as `events/list` shows it. */
export function descriptorOf({ name, description, isOfSession, fields }: EventType): Record<string, unknown> {
  return {
    name,
    description,
    delivery: ["poll", "push", "webhook"],
    inputSchema: {
      type: "object",
      properties: {
        machineId: { type: "string", description: "Only this machine, by its name from list_machines." },
        ...(isOfSession
          ? { session: { type: "string", description: "Only this session, by its handle <machine>/<id>." } }
          : {}),
      },
      additionalProperties: false,
    },
    payloadSchema: {
      type: "object",
      properties: {
        machine: { type: "string", description: "The machine's name: machineId in the tools." },
        session: {
          type: ["string", "null"],
          description: "The session's handle <machine>/<id>, which every session tool accepts.",
        },
        truncated: { type: "boolean", description: "The event was too large; its other fields were left out." },
        ...Object.fromEntries(Object.entries(fields).map(([field, type]) => [field, type === "json" ? {} : { type }])),
      },
      required: ["machine", "session"],
    },
  };
}

/** The declared fields of an entry's data. What has another type than declared is left out: machines write it, and are not trusted. */
export function payloadFieldsOf({ fields }: EventType, data: unknown): Record<string, unknown> {
  if (!isRecord(data)) return {};
  // The log replaces data that is too large by this mark.
  if (data["truncated"] === true) return { truncated: true };
  return Object.fromEntries(
    Object.entries(fields).flatMap(([field, type]) => {
      const value = data[field];
      return value !== undefined && (type === "json" || typeof value === type) ? [[field, value]] : [];
    }),
  );
}
