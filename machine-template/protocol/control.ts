import * as z from "zod/mini";
import { parseJson } from "./json.ts";
import {
  MAX_EVENTS_PER_FRAME,
  MAX_PATH_CHARACTERS,
  MAX_PROJECTS,
  MAX_SEQUENCE,
  MAX_SLUG_CHARACTERS,
} from "./limits.ts";
import { PushedEvent } from "./event.ts";
import { LinkKey, Nonce, Proof } from "./link-key.ts";

/** Control frames: JSON in text WebSocket messages. They are rare, so zod validates them. `PING` and `PONG` are plain text. */

/** Connector to script, every `HEARTBEAT_MS`; the runtime answers `PONG` without waking the script. */
export const PING = "ping";
export const PONG = "pong";

/** A git repository on the machine. */
export const Repo = z.object({
  path: z.string(),
  remote: z.optional(z.string()),
  branch: z.optional(z.string()),
});
export type Repo = z.infer<typeof Repo>;

/** A coding project as the machine's own `list_projects` reports it: its slug, and its folder if that is known. */
export const Project = z.object({
  slug: z.string().check(z.minLength(1), z.maxLength(MAX_SLUG_CHARACTERS)),
  path: z.nullable(z.string().check(z.maxLength(MAX_PATH_CHARACTERS))),
});
export type Project = z.infer<typeof Project>;

/**
 * In a machine's capabilities: its `send_prompt` takes an idempotency key. A call with one can be repeated without running twice.
 */
export const KEYS_CAPABILITY = "idempotency_keys";

/** A machine's description of itself. Sizes are in bytes. */
export const Facts = z.object({
  hostname: z.string(),
  os: z.string(),
  arch: z.string(),
  cpus: z.int(),
  memoryBytes: z.int(),
  codez: z.string(),
  agent: z.nullable(z.object({ name: z.string(), version: z.string() })),
  repos: z.array(Repo).check(z.maxLength(200)),
  capabilities: z.array(z.string()),
  /** Whether the machine's MCP server answers. Absent until the connector knows, and from connectors before 0.3. */
  server: z.optional(z.enum(["up", "down"])),
  /** Most recently used first. Absent when the machine's server has no `list_projects`, or its connector is an older one. */
  projects: z.optional(z.array(Project).check(z.maxLength(MAX_PROJECTS))),
});
export type Facts = z.infer<typeof Facts>;

/**
 * Which dial of which connector a `hello` belongs to. The network may deliver the hello of an abandoned dial after that of
 * its successor, so the script needs an order that does not depend on arrival (`machine-template/src/dial-order.ts`).
 */
export const Dial = z.object({
  /** Random, one for each connector process. */
  connector: z.string().check(z.minLength(1), z.maxLength(64)),
  /** How many connector processes have opened this `stream`. Counted on the machine's disk, because its clock may jump. */
  start: z.int().check(z.nonnegative()),
  /** Rises by one with each dial of that process. */
  number: z.int().check(z.positive()),
});
export type Dial = z.infer<typeof Dial>;

/**
 * Connector to script, the first frame: who is connecting. `stream` identifies the connector's sequence of events, which is
 * kept on disk and outlives the process.
 */
export const Hello = z.object({
  type: z.literal("hello"),
  protocol: z.int(),
  stream: z.string().check(z.minLength(1), z.maxLength(64)),
  /** Absent from connectors before 0.2. Among those, the newest hello wins. */
  dial: z.optional(Dial),
  /** The machine's public key. Absent from connectors before 0.3, which have none. */
  key: z.optional(LinkKey),
  /** The signature of the socket's challenge (`proofText`). Absent while the connector has not seen the challenge. */
  proof: z.optional(Proof),
  facts: Facts,
});
export type Hello = z.infer<typeof Hello>;

/** A place in a connector's sequence of events; 0 is before the first. */
const Sequence = z.int().check(z.nonnegative(), z.lte(MAX_SEQUENCE));

/** Script to connector: the hello is accepted. Events of this stream are stored up to and including `acked` (0: none). */
export const Welcome = z.object({
  type: z.literal("welcome"),
  protocol: z.int(),
  epoch: z.int(),
  acked: Sequence,
});
export type Welcome = z.infer<typeof Welcome>;

/**
 * Script to connector: the hello had a key and no proof of it. The connector says the same hello again, with the proof. Sent
 * only to connectors that have a key.
 */
export const Challenge = z.object({ type: z.literal("challenge"), nonce: Nonce });
export type Challenge = z.infer<typeof Challenge>;

/**
 * Script to connector: a new link token, because the one that it dialled with will expire. Both are valid until the connector
 * has dialled with the new one. Sent only to connectors that have a key.
 */
export const TokenFrame = z.object({ type: z.literal("token"), token: z.string().check(z.maxLength(512)) });
export type TokenFrame = z.infer<typeof TokenFrame>;

/** Connector to script: events numbered by the connector, from `first` upwards. The connector keeps them until acknowledged. */
export const EventFrame = z.object({
  type: z.literal("event"),
  first: z.int().check(z.positive(), z.lte(MAX_SEQUENCE)),
  events: z.array(PushedEvent).check(z.minLength(1), z.maxLength(MAX_EVENTS_PER_FRAME)),
});
export type EventFrame = z.infer<typeof EventFrame>;

/** Script to connector: events up to and including `seq` are stored, so the connector may delete them. */
export const EventAck = z.object({ type: z.literal("event-ack"), seq: Sequence });
export type EventAck = z.infer<typeof EventAck>;

/** Connector to script: facts that have changed since `hello` (a repo's branch, the agent's version). */
export const FactsFrame = z.object({ type: z.literal("facts"), facts: Facts });
export type FactsFrame = z.infer<typeof FactsFrame>;

/** Either direction: the sender is closing the link on purpose, for this reason. The socket closes next. */
export const Goodbye = z.object({ type: z.literal("goodbye"), reason: z.string() });
export type Goodbye = z.infer<typeof Goodbye>;

export const FromConnector = z.discriminatedUnion("type", [Hello, EventFrame, FactsFrame, Goodbye]);
export type FromConnector = z.infer<typeof FromConnector>;

export const FromScript = z.discriminatedUnion("type", [Welcome, Challenge, TokenFrame, EventAck, Goodbye]);
export type FromScript = z.infer<typeof FromScript>;

/** Parses `text` as a control frame; `null` when it is not valid. */
export function parseControl<Schema extends z.ZodMiniType>(schema: Schema, text: string): z.infer<Schema> | null {
  const parsed = schema.safeParse(parseJson(text));
  return parsed.success ? parsed.data : null;
}
