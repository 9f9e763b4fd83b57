import * as z from "zod/mini";
import { OWN_RETRIES_MS, CLIENT_RETRIES_MS } from "./limits.ts";
import { plainOf } from "../design/foreign-text.ts";
import type { Delivery } from "./deliveries.ts";
import type { Subscription } from "./subscription.ts";

const Occurrence = z.object({
  eventId: z.string(),
  name: z.string(),
  timestamp: z.string(),
  data: z.record(z.string(), z.unknown()),
});

/** A request to a receiver. */
export type Message = { readonly url: string; readonly id: string; readonly body: string };

/**
 * The request for a delivery. An MCP client gets the event with a cursor up to which it has everything; a webhook gets the form that
 * Standard Webhooks recommends; ntfy gets a notification.
 */
export function messageOf(
  { kind, url }: Subscription,
  { message: id, isControl, content }: Delivery,
  cursor: string,
): Message {
  if (isControl) return { url, id, body: content };
  const occurrence = Occurrence.parse(JSON.parse(content));
  switch (kind) {
    case "client":
      return { url, id, body: JSON.stringify({ ...occurrence, cursor }) };
    case "webhook":
      return { url, id, body: JSON.stringify({ type: occurrence.name, timestamp: occurrence.timestamp, data: occurrence.data }) }; // prettier-ignore
    case "ntfy":
      return { id, ...notificationOf(url, occurrence) };
    case "push":
      throw new Error("a browser's notification is encrypted for it (push/push-request.ts)");
  }
}

/** Pauses between the attempts to deliver a message. */
export function retriesOf({ kind }: Subscription): readonly number[] {
  // A notification of hours ago is of no use on a phone.
  return kind === "client" || kind === "push" ? CLIENT_RETRIES_MS : OWN_RETRIES_MS;
}

/** What is shown of a tool's name, which the machine chooses. */
const TOOL_CHARACTERS = 64;

/** ntfy's own levels: 3 is the default, 4 makes a sound that is hard to miss. */
const PRIORITY: Readonly<Record<string, number>> = {
  "permission.requested": 4,
  "question.asked": 4,
  "plan.proposed": 4,
  "session.failed": 4,
};

/** What happened, for a person who reads one line on a telephone. */
const SAID: Readonly<Record<string, string>> = {
  "permission.requested": "An agent waits for your permission",
  "permission.resolved": "A permission request was settled",
  "question.asked": "An agent has a question",
  "plan.proposed": "An agent proposes a plan",
  "turn.completed": "A session has finished its turn",
  "session.created": "A session was started",
  "session.failed": "A session failed",
  "machine.online": "is online",
  "machine.offline": "is offline",
  "webhook.test": "Notifications from Operator arrive here",
};

/**
 * A notification as ntfy's JSON takes it, which is sent to the server's root with the topic inside. It says what happened and where,
 * and nothing that a session said: everybody who knows the name of a topic can read it.
 */
function notificationOf(
  topicUrl: string,
  { name, data }: z.infer<typeof Occurrence>,
): { readonly url: string; readonly body: string } {
  const url = new URL(topicUrl);
  const slash = url.pathname.lastIndexOf("/");
  const topic = url.pathname.slice(slash + 1);
  url.pathname = url.pathname.slice(0, slash + 1);
  const machine = typeof data["machine"] === "string" ? data["machine"] : "Operator";
  const tool = typeof data["tool"] === "string" ? `: ${plainOf(data["tool"], TOOL_CHARACTERS)}` : "";
  const body = {
    topic,
    title: machine,
    message: `${SAID[name] ?? name}${tool}`,
    priority: PRIORITY[name] ?? 3,
    tags: [name],
  };
  return { url: url.href, body: JSON.stringify(body) };
}
