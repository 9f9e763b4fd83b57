import { isRecord, parseJson } from "#protocol/json.ts";
import { plainOf } from "../design/foreign-text.ts";
import type { StoredEvent } from "../history/event-query.ts";
import type { ListedSession } from "../history/session-query.ts";
import type { PageContext } from "../sign-in/page-context.ts";
import { registryOf } from "../user/user-rpc.ts";
import { callMachineTool } from "./machine-call.ts";
import { type Message, messageIn } from "./conversation/part.ts";

/** Messages on one page. With their tools' results folded it is a few screens, and mostly under 100 KB. */
const PAGE_MESSAGES = 40;

const MAX_TITLE_CHARACTERS = 120;

/** Messages that an agent has spoken may follow what it has written down. It writes within a second, in which it says a few. */
const NEWEST_MESSAGES = 20;

/** Requests that wait. An agent asks one at a time, and so do its subagents. */
const MAX_PENDING = 10;

/** A permission request that waits, as the machine tells of it. */
export type Pending = { readonly tool: string; readonly input: unknown };

/** A session as it can be read now. */
export type Reading = {
  readonly title: string;
  readonly messages: readonly Message[];
  /** Cursor for older messages: the machine's own, or `log-` and a place in the log. */
  readonly older: string | null;
  /** The cursor that this page was asked for; `null`: the newest messages. */
  readonly cursor: string | null;
  readonly isFull: boolean;
  readonly pending: readonly Pending[];
  /** Why the machine's own record is not what is shown, as a sentence for a person. `null` when it is. */
  readonly instead: string | null;
  /** Whether a prompt could be sent now: the machine answered for this session. */
  readonly isReachable: boolean;
  /** As the machine itself lists it: `live`, `idle`, `mirror` and so on. */
  readonly status: string | null;
  readonly costUsd: number | null;
  readonly model: string | null;
};

type Asked = { readonly cursor: string | null; readonly isFull: boolean };

const FROM_LOG = "log-";

/**
 * Reads a session from its machine. A machine that cannot be asked is no reason to show nothing: Operator's own log has the messages that
 * were seen as events. `null` if nobody knows of such a session.
 */
export async function readSession(
  c: PageContext,
  machine: string,
  session: string,
  known: ListedSession | null,
  { cursor, isFull }: Asked,
): Promise<Reading | null> {
  const base = {
    title: plainOf(known?.title ?? "Untitled session", MAX_TITLE_CHARACTERS),
    cursor,
    isFull,
    costUsd: known?.costUsd ?? null,
    model: known?.agent ?? null,
  };
  const isOfLog = cursor?.startsWith(FROM_LOG) === true;
  if (!isOfLog && known?.status !== "gone") {
    const args = { session_id: `${machine}/${session}`, limit: PAGE_MESSAGES, ...(cursor === null ? {} : { cursor }) };
    // An agent's newest words may be in the log alone. What comes from now on is in the page's stream.
    const [answer, spoken] = await Promise.all([
      callMachineTool(c, "get_session", args),
      cursor === null ? newestMessages(c, machine, session) : [],
    ]);
    if ("told" in answer && answer.told["unreachable"] === undefined) {
      const reading = { ...base, ...readingIn(answer.told, base) };
      return { ...reading, messages: [...reading.messages, ...notWritten(spoken, reading.messages)] };
    }
    if (known === null) return null;
    const why = "failed" in answer ? sentenceOf(answer.failed) : reasonIn(answer.told);
    return { ...base, ...(await ofLog(c, machine, session, null)), instead: why };
  }
  if (known === null) return null;
  const instead = known.status === "gone" ? "This machine was removed." : "These are earlier messages.";
  const before = isOfLog ? Number.parseInt(cursor.slice(FROM_LOG.length), 36) : null;
  return { ...base, ...(await ofLog(c, machine, session, before)), instead };
}

function readingIn(
  told: Record<string, unknown>,
  base: Pick<Reading, "title" | "costUsd" | "model">,
): Omit<Reading, "cursor" | "isFull"> {
  const about = isRecord(told["session"]) ? told["session"] : {};
  const { title, status, cost_usd: cost, model } = about;
  const given = Array.isArray(told["messages"]) ? (told["messages"] as unknown[]) : [];
  const waiting = Array.isArray(told["pending_permissions"]) ? (told["pending_permissions"] as unknown[]) : [];
  const { cursor } = told;
  return {
    title: typeof title === "string" && title !== "" ? plainOf(title, MAX_TITLE_CHARACTERS) : base.title,
    messages: given.slice(-PAGE_MESSAGES).flatMap((message) => messageIn(message) ?? []),
    older: typeof cursor === "string" && /^[\w.:-]{1,64}$/.test(cursor) ? cursor : null,
    pending: waiting.slice(0, MAX_PENDING).flatMap((request) =>
      isRecord(request)
        ? [
            {
              tool: typeof request["tool"] === "string" ? request["tool"] : "a tool",
              input: request["input"] ?? null,
            },
          ]
        : [],
    ),
    instead: null,
    isReachable: true,
    status: typeof status === "string" ? status.slice(0, 20) : null,
    costUsd: typeof cost === "number" && Number.isFinite(cost) ? cost : base.costUsd,
    model: typeof model === "string" ? plainOf(model, 60) : base.model,
  };
}

/** What the index says when a machine cannot be asked (mcp/tools/coding-tools.ts), in one sentence. */
function reasonIn({ unreachable }: Record<string, unknown>): string {
  const { code, message } = isRecord(unreachable) ? unreachable : {};
  if (typeof code !== "string" || typeof message !== "string") return "This machine cannot be asked now.";
  return sentenceOf({ code, message });
}

/** The error's own message tells a program what to run; a person who reads on a phone first wants to know what is the matter. */
function sentenceOf({ code, message }: { readonly code: string; readonly message: string }): string {
  return code === "machine_offline" ? "This machine is offline." : message;
}

function messageOf({ data, atMs }: StoredEvent): Message | null {
  const told = parseJson(data);
  return messageIn(isRecord(told) ? { at_ms: atMs, ...told } : null);
}

/** The newest messages that Operator saw as events. */
async function newestMessages(c: PageContext, machine: string, session: string): Promise<Message[]> {
  const registry = registryOf(c.env, c.var.session.person.id);
  const events: StoredEvent[] = await registry.sessionTail(machine, session, ["message"], null, NEWEST_MESSAGES);
  return events.flatMap((event) => messageOf(event) ?? []);
}

/**
 * Which of the newest messages are not in the transcript yet. An agent speaks before it writes: a page that is made in between would show
 * them neither from the transcript nor from its stream, which begins after them. Only what follows a message that both have is taken,
 * since what one of them knows from earlier may be missing in the other for good.
 */
function notWritten(spoken: readonly Message[], written: readonly Message[]): Message[] {
  const known = new Set(written.map(({ id }) => id));
  const last = spoken.findLastIndex(({ id }) => id !== null && known.has(id));
  if (last === -1 && written.length > 0) return [];
  return spoken
    .slice(last + 1)
    .flatMap((message) => (message.id === null ? [] : [{ ...message, isLive: true as const }]));
}

/** The messages that Operator saw as events. */
async function ofLog(
  c: PageContext,
  machine: string,
  session: string,
  before: number | null,
): Promise<Pick<Reading, "messages" | "older" | "pending" | "isReachable" | "status">> {
  const registry = registryOf(c.env, c.var.session.person.id);
  const place = before === null || Number.isSafeInteger(before) ? before : null;
  const events: StoredEvent[] = await registry.sessionTail(machine, session, ["message"], place, PAGE_MESSAGES);
  const first = events.length === PAGE_MESSAGES ? events[0] : undefined;
  return {
    messages: events.flatMap((event) => messageOf(event) ?? []),
    older: first === undefined ? null : `${FROM_LOG}${first.seq.toString(36)}`,
    pending: [],
    isReachable: false,
    status: null,
  };
}
