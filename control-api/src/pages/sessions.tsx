import { Hono } from "hono";
import { KEYS_CAPABILITY } from "#protocol/control.ts";
import { messageOf } from "#protocol/error.ts";
import { shownAs, shownNamed } from "../http/shown-machine.ts";
import { encodeCursor } from "../events/cursor.ts";
import { personPage } from "../sign-in/person-page.ts";
import type { InboxPage } from "../inbox/inbox-item.ts";
import type { ListedSession } from "../history/session-query.ts";
import type { ListedMachines } from "../machines/machine-query.ts";
import type { MachineRecord } from "../machines/machine-record.ts";
import { parseSessionHandle } from "../machines/session-handle.ts";
import { formIn } from "../sign-in/form.ts";
import type { PageApp, PageContext } from "../sign-in/page-context.ts";
import { formToken } from "../sign-in/session.ts";
import { registryOf } from "../user/user-rpc.ts";
import { sessionPath } from "./address.ts";
import { attachmentsIn, mayHaveKey } from "./attachments.ts";
import { changes } from "./changes.tsx";
import { streamEvents } from "./event-stream.ts";
import { callMachineTool } from "./machine-call.ts";
import { NewSession } from "./new-session.tsx";
import { notThere } from "./not-there.tsx";
import { PartPage } from "./part-page.tsx";
import { heardOf } from "./session-events.ts";
import { sessionList } from "./session-list.tsx";
import { sessionImage } from "./session-image.ts";
import { SessionPage } from "./session-page.tsx";
import { type Reading, readSession } from "./session-reading.ts";
import { refusalOf } from "./shown.ts";

/** A prompt that is longer is a file. `codez serve` has a limit of its own. */
const MAX_PROMPT_CHARACTERS = 100_000;

/** An agent's process has to start, which takes seconds on a busy machine. Milliseconds. */
const START_MS = 30_000;

/** Machines that the form for a new session looks at for projects. The page shows 30 of those that are online, which come first. */
const OFFERED_MACHINES = 100;

/** `/sessions`: the sessions of all machines, and one of them. */
export const sessions = new Hono<PageApp>();

sessions.get("/", sessionList);

sessions.get("/new", (c) => newSession(c));

sessions.post("/new", async (c) => {
  const form = await formIn(c);
  const [text, key, place] = ["text", "key", "place"].map((name) => String(form.get(name) ?? ""));
  const { machine, session: slug } = parseSessionHandle(place ?? "");
  const again = (said: string) => newSession(c, { said, typed: text ?? "", place: place ?? "" });
  if (text === undefined || text.trim() === "") return again("Say what it should do.");
  if (text.length > MAX_PROMPT_CHARACTERS) return again(`A prompt may have ${MAX_PROMPT_CHARACTERS} characters.`);
  if (machine === null) return again("Choose a project.");
  const refusal = await refusalOf(c, shownNamed(form, machine));
  if (refusal !== null) return again(messageOf(refusal));
  const attached = await attachmentsIn(form);
  if ("problem" in attached) return again(attached.problem);
  const args = { machineId: machine, slug, prompt: text, ...(await withFiles(c, machine, attached.files, text, key)) };
  const answer = await callMachineTool(c, "create_session", args, { waitMs: START_MS });
  if ("failed" in answer) return again(answer.failed.message);
  const made = parseSessionHandle(String(answer.told["session_id"] ?? ""));
  return c.redirect(made.machine === null ? "/sessions" : sessionPath(made.machine, made.session), 303);
});

sessions.get("/:machine/:session", (c) => show(c));

sessions.get("/:machine/:session/stream", (c) => {
  const { machine, session } = namesIn(c);
  const partPath = (handle: string): string => pathOfPart(machine, session, handle);
  return streamEvents(c, { machine, session, detail: "deltas" }, (event) => heardOf(event, partPath));
});

sessions.get("/:machine/:session/changes", changes);

sessions.get("/:machine/:session/image", sessionImage);

sessions.get("/:machine/:session/part", async (c) => {
  const { machine, session } = namesIn(c);
  const [handle = "", from = "0"] = [c.req.query("handle"), c.req.query("offset")];
  const offset = /^\d{1,9}$/.test(from) ? Number(from) : 0;
  const answer = await callMachineTool(c, "get_session", { session_id: `${machine}/${session}`, handle, offset });
  return personPage(
    c,
    { title: "A long part", at: "sessions" },
    <PartPage machine={machine} session={session} handle={handle} answer={answer} />,
  );
});

sessions.post("/:machine/:session/prompt", async (c) => {
  const { machine, session } = namesIn(c);
  const form = await formIn(c);
  const [text, key] = [String(form.get("text") ?? ""), String(form.get("key") ?? "")];
  const refusal = await refusalOf(c, shownNamed(form, machine));
  if (refusal !== null) return show(c, { said: messageOf(refusal), typed: text });
  if (text.trim() === "") return show(c, { said: "Write a prompt first." });
  if (text.length > MAX_PROMPT_CHARACTERS)
    return show(c, { said: `A prompt may have ${MAX_PROMPT_CHARACTERS} characters.`, typed: text });
  const attached = await attachmentsIn(form);
  if ("problem" in attached) return show(c, { said: attached.problem, typed: text });
  const args = {
    session_id: `${machine}/${session}`,
    text,
    ...(await withFiles(c, machine, attached.files, text, key)),
  };
  const waitMs = attached.files.length === 0 ? undefined : START_MS;
  const answer = await callMachineTool(c, "send_prompt", args, waitMs === undefined ? {} : { waitMs });
  return "failed" in answer
    ? show(c, { said: answer.failed.message, typed: text })
    : c.redirect(sessionPath(machine, session), 303);
});

sessions.post("/:machine/:session/abort", async (c) => {
  const { machine, session } = namesIn(c);
  const refusal = await refusalOf(c, shownNamed(await formIn(c), machine));
  if (refusal !== null) return show(c, { said: messageOf(refusal) });
  const answer = await callMachineTool(c, "abort_session", { session_id: `${machine}/${session}` });
  return "failed" in answer ? show(c, { said: answer.failed.message }) : c.redirect(sessionPath(machine, session), 303);
});

/** A copy of the session, to go on with it in another way, or because it is open in a terminal. */
sessions.post("/:machine/:session/fork", async (c) => {
  const { machine, session } = namesIn(c);
  const refusal = await refusalOf(c, shownNamed(await formIn(c), machine));
  if (refusal !== null) return show(c, { said: messageOf(refusal) });
  const answer = await callMachineTool(
    c,
    "fork_session",
    { session_id: `${machine}/${session}` },
    { waitMs: START_MS },
  );
  if ("failed" in answer) return show(c, { said: answer.failed.message });
  const made = parseSessionHandle(String(answer.told["session_id"] ?? ""));
  return c.redirect(made.machine === null ? "/sessions" : sessionPath(made.machine, made.session), 303);
});

sessions.post("/:machine/:session/end", async (c) => {
  const { machine, session } = namesIn(c);
  const refusal = await refusalOf(c, shownNamed(await formIn(c), machine));
  if (refusal !== null) return show(c, { said: messageOf(refusal) });
  const answer = await callMachineTool(c, "dispose_session", { session_id: `${machine}/${session}` });
  return "failed" in answer ? show(c, { said: answer.failed.message }) : c.redirect(sessionPath(machine, session), 303);
});

/** The page that starts a session; with what went wrong with a form that was just sent. */
async function newSession(c: PageContext, failed?: Parameters<typeof NewSession>[0]["failed"]): Promise<Response> {
  const { session } = c.var;
  const registry = registryOf(c.env, session.person.id);
  const only = c.req.query("machine");
  const found: MachineRecord | null = only === undefined ? null : await registry.machine(only);
  const page: ListedMachines | null =
    only === undefined ? await registry.machinePage({ visible: null, limit: OFFERED_MACHINES }) : null;
  const body = (
    <NewSession
      machines={page?.machines ?? (found === null ? [] : [found])}
      csrf={await formToken(session)}
      promptKey={crypto.randomUUID()}
      failed={failed}
    />
  );
  return personPage(c, { title: "New session", at: "sessions", status: failed === undefined ? 200 : 409 }, body);
}

/** A prompt's files, and the form's key if the call can have one. */
async function withFiles(
  c: PageContext,
  machine: string,
  files: Files,
  text: string,
  key: string | undefined,
): Promise<Record<string, unknown>> {
  if (files.length === 0) return keyOf(key);
  const hasKey = mayHaveKey(files, text) || (await knowsKeys(c, machine));
  return { attachments: files, ...(hasKey ? keyOf(key) : {}) };
}

/** Whether a machine's own server runs a call that is sent twice with its key only once. */
async function knowsKeys(c: PageContext, machine: string): Promise<boolean> {
  const record: MachineRecord | null = await registryOf(c.env, c.var.session.person.id).machine(machine);
  return record?.facts?.capabilities.includes(KEYS_CAPABILITY) === true;
}

type Files = Parameters<typeof mayHaveKey>[0];

/** The form's key, with which the machine runs a form that is sent twice only once. */
function keyOf(key: string | undefined): { key?: string } {
  return key !== undefined && /^[\w-]{8,64}$/.test(key) ? { key } : {};
}

/** One session's page; with what went wrong with a form that was just sent, and what was typed into it. */
async function show(c: PageContext, failed?: { readonly said: string; readonly typed?: string }): Promise<Response> {
  const { machine, session } = namesIn(c);
  const registry = registryOf(c.env, c.var.session.person.id);
  // Read first: what comes while the machine is asked is then in the stream, and perhaps in the answer as well.
  const position = await registry.newestEvent();
  const waiting = { visible: null, machine, session, state: "waiting", after: null } as const;
  const [known, record, inbox] = await Promise.all([
    registry.session(null, machine, session) as Promise<ListedSession | null>,
    registry.machine(machine) as Promise<MachineRecord | null>,
    registry.inbox(waiting) as Promise<InboxPage | null>,
  ]);
  if (known === null && record === null) return notThere(c, "session");
  const reading: Reading | null = await readSession(c, machine, session, known, {
    cursor: c.req.query("cursor") ?? null,
    isFull: c.req.query("full") === "1",
  });
  if (reading === null) return notThere(c, "session");
  return personPage(
    c,
    { title: reading.title, at: "sessions", status: failed === undefined ? 200 : 409 },
    <SessionPage
      machine={machine}
      session={session}
      known={known}
      reading={reading}
      asked={inbox?.items ?? []}
      isFresh={c.var.session.isFresh}
      approval={record?.pageApproval ?? "nothing"}
      shown={record === null ? "" : shownAs(record)}
      after={encodeCursor(position, record)}
      csrf={await formToken(c.var.session)}
      promptKey={crypto.randomUUID()}
      failed={failed}
    />,
  );
}

// A form's answer has the form's address, and may be opened again later: in a tab that was put away, or from a bookmark.
sessions.get("/:machine/:session/*", (c) =>
  c.redirect(sessionPath(c.req.param("machine"), c.req.param("session")), 303),
);

function namesIn(c: PageContext): { machine: string; session: string } {
  return { machine: c.req.param("machine") ?? "", session: c.req.param("session") ?? "" };
}

function pathOfPart(machine: string, session: string, handle: string): string {
  return `${sessionPath(machine, session)}/part?${new URLSearchParams({ handle })}`;
}
