import { isRecord } from "#protocol/json.ts";
import { plainOf } from "../design/foreign-text.ts";
import { projectName } from "../design/project-name.ts";
import { inputOf, questionsOf } from "../inbox/asked-input.ts";
import type { InboxItem } from "../inbox/inbox-item.ts";

/** Characters of a line on a phone's lock screen, and of what is shown of a request if its person chose that. */
const LINE_CHARACTERS = 80;
const CONTENT_CHARACTERS = 240;

/** Characters of a path. A session's id is its machine's, and a longer one would not fit into a message. */
const PATH_CHARACTERS = 1_000;

/** What the service worker shows. `tag`: a later notification of the same tag replaces the earlier one. `path`: what a tap opens. */
export type Notification = {
  readonly title: string;
  readonly body: string;
  readonly tag: string;
  readonly path: string;
};

/** What happened, by the name of the event type. The machine's name stands before it. */
const SAID: Readonly<Record<string, string>> = {
  "permission.requested": "asks for permission",
  "question.asked": "has a question",
  "plan.proposed": "proposes a plan",
  "turn.completed": "has finished a turn",
  "session.failed": "had a session fail",
  "machine.online": "is online",
  "machine.offline": "is offline",
};

/** An event that a notification is about. */
export type Told = {
  readonly name: string;
  readonly machine: string;
  /** The machine's own id of the session; `null` if it is about none. */
  readonly session: string | null;
  readonly project: string | null;
  readonly title: string | null;
  readonly cwd: string | null;
  /** The request that waits, if one does. */
  readonly item: InboxItem | null;
};

/**
 * The notification of an event. It names the machine, the project and the session; what is asked only if its person chose that, because
 * a locked phone shows it to everyone. A machine's texts lose what could make one look like another.
 */
export function notificationOf(
  { name, machine, session, project, title, cwd, item }: Told,
  showsContent: boolean,
): Notification {
  const folder = project === null ? null : projectName(project, cwd);
  const where = [folder, title].flatMap((text) => (text === null ? [] : [plainOf(text, LINE_CHARACTERS)]));
  const content = showsContent && item !== null ? contentOf(item) : null;
  return {
    title: `${machine} ${SAID[name] ?? name}`,
    body: [where.join(" · "), ...(content === null ? [] : [plainOf(content, CONTENT_CHARACTERS)])]
      .filter(Boolean)
      .join("\n"),
    tag: item === null ? `${machine}/${session ?? ""}`.slice(0, PATH_CHARACTERS) : `ask-${item.id}`,
    path: pathOf(machine, session, item),
  };
}

/** A tap opens the very request, or the session, or the machine. Opening decides nothing: that takes a form on a signed-in page. */
function pathOf(machine: string, session: string | null, item: InboxItem | null): string {
  if (item !== null) return `/inbox/${item.id}`;
  if (session === null) return `/machines/${encodeURIComponent(machine)}`;
  const path = `/sessions/${encodeURIComponent(machine)}/${encodeURIComponent(session.toWellFormed())}`;
  return path.length <= PATH_CHARACTERS ? path : "/sessions";
}

function contentOf(item: InboxItem): string {
  const [question] = questionsOf(item);
  if (item.kind === "question" && question !== undefined) return question.question;
  const input = inputOf(item);
  const told = isRecord(input) ? (input["command"] ?? input["plan"] ?? input["file_path"] ?? input) : input;
  return `${item.tool}: ${typeof told === "string" ? told : JSON.stringify(told)}`;
}

/** For a person who tries notifications out. */
export const TEST_NOTIFICATION: Notification = {
  title: "Notifications from Operator arrive here",
  body: "A tap opens what a notification is about.",
  tag: "test",
  path: "/notifications",
};
