import { isRecord } from "#protocol/json.ts";
import { isMachineName } from "#protocol/slug.ts";
import { Ago } from "../design/ago.tsx";
import { Foreign } from "../design/foreign.tsx";
import { Note } from "../design/note.tsx";
import { Empty, Live, Row } from "../design/parts.tsx";
import { personPage } from "../sign-in/person-page.ts";
import { encodeCursor } from "../events/cursor.ts";
import type { IndexedSessions, SessionListQuery } from "../history/session-query.ts";
import { parseSessionHandle } from "../machines/session-handle.ts";
import type { PageContext } from "../sign-in/page-context.ts";
import { registryOf } from "../user/user-rpc.ts";
import { sessionPath } from "./address.ts";
import { callMachineTool } from "./machine-call.ts";
import { SessionRow } from "./session-row.tsx";

/** Sessions on one page, in about 45 KB. */
const PAGE_SESSIONS = 100;

/** How long a search over all machines may take. The tool itself stops asking after 10 s. Milliseconds. */
const SEARCH_MS = 12_000;

const STATES = [
  [null, "All"],
  ["waiting", "Waits for you"],
  ["running", "Running"],
  ["idle", "Idle"],
  ["ended", "Ended"],
  ["machine_gone", "Machine removed"],
] as const;

/** What the list is asked for, in its address. */
type Asked = {
  readonly state: SessionListQuery["state"];
  readonly machine: string | null;
  readonly words: string;
  /** Whether to search what was said as well, which asks every machine that is online. */
  readonly isDeep: boolean;
  readonly before: SessionListQuery["before"];
};

/** `GET /sessions`: the sessions of all machines, newest first, from the index; no machine is asked. */
export async function sessionList(c: PageContext): Promise<Response> {
  const asked = askedIn(c);
  const registry = registryOf(c.env, c.var.session.person.id);
  const { state, machine, before } = asked;
  const words = asked.words.split(/\s+/).filter((word) => word !== "");
  const query = {
    visible: null,
    machine,
    project: null,
    state,
    words: words.slice(0, 20),
    before,
    limit: PAGE_SESSIONS,
  };
  const [position, found] = await Promise.all([
    registry.newestEvent(),
    registry.listSessions(query) as Promise<IndexedSessions>,
  ]);
  const { sessions, next } = found;
  return personPage(
    c,
    { title: "Sessions", at: "sessions" },
    // A page of older sessions stays as it is: what is new would not be on it.
    <div {...(before === null ? { "data-live": "/live", "data-after": encodeCursor(position) } : {})}>
      <div class="head">
        <h1>{machine === null ? "Sessions" : `Sessions of ${machine}`}</h1>
        <a class="button small" href={machine === null ? "/sessions/new" : `/sessions/new?machine=${machine}`}>
          New session
        </a>
      </div>
      <form class="search" role="search">
        <input type="search" name="q" value={asked.words} placeholder="Search sessions" aria-label="Search sessions" />
        {machine === null ? null : <input type="hidden" name="machine" value={machine} />}
        <button class="plain">Search</button>
      </form>
      <nav class="filters" aria-label="State">
        {STATES.map(([one, name]) => (
          <a href={addressOf({ ...asked, state: one, before: null })} aria-current={one === state ? "page" : undefined}>
            {name}
          </a>
        ))}
      </nav>
      {asked.isDeep ? (
        <Deep
          c={c}
          words={asked.words}
          answer={await callMachineTool(c, "search_sessions", { query: asked.words }, { waitMs: SEARCH_MS })}
        />
      ) : null}
      <Live id="sessions">
        {sessions.length === 0 ? (
          <Nothing asked={asked} />
        ) : (
          <ul class="rows" data-list>
            {sessions.map((session) => (
              <SessionRow session={session} />
            ))}
          </ul>
        )}
      </Live>
      <nav class="pages" aria-label="Pages">
        {before === null ? <span></span> : <a href={addressOf({ ...asked, before: null })}>Newest</a>}
        {next === null ? (
          <span></span>
        ) : (
          <a href={addressOf({ ...asked, before: next })} data-more>
            Older
          </a>
        )}
      </nav>
      <p class="soft">
        <a href="/costs">What sessions cost</a>
      </p>
      {asked.words === "" || asked.isDeep ? null : (
        <p>
          <a class="button plain" href={addressOf({ ...asked, isDeep: true, before: null })}>
            Search what was said, on all machines
          </a>
        </p>
      )}
    </div>,
  );
}

function Nothing({ asked: { words, state, machine } }: { readonly asked: Asked }) {
  if (words !== "")
    return (
      <Empty title="No session with such a title">
        <a href="/sessions">Show all</a>
      </Empty>
    );
  if (state !== null)
    return (
      <Empty title={state === "waiting" ? "Nothing waits for you" : "No session is in this state"}>
        <a href="/sessions">Show all</a>
      </Empty>
    );
  return (
    <Empty title="No sessions yet">
      <p>
        {machine === null ? "Sessions of all your machines" : "Its sessions"} appear here as soon as they are started,
        in a terminal or from a client.
      </p>
      <a class="button" href="/connect">
        Connect a client
      </a>
    </Empty>
  );
}

type DeepProps = {
  readonly c: PageContext;
  readonly words: string;
  readonly answer: Awaited<ReturnType<typeof callMachineTool>>;
};

/** What machines found in what was said. Each of them ranks its own; all of it is their word. */
function Deep({ answer }: DeepProps) {
  if ("failed" in answer)
    return (
      <Note kind="warn">
        <Foreign text={answer.failed.message} limit={500} />
      </Note>
    );
  const given = Array.isArray(answer.told["sessions"]) ? (answer.told["sessions"] as unknown[]) : [];
  const rows = given.slice(0, PAGE_SESSIONS).flatMap(matchIn);
  const unanswered = Array.isArray(answer.told["unanswered"]) ? answer.told["unanswered"].length : 0;
  return (
    <>
      <section class="section">
        <h2>In what was said</h2>
        {unanswered > 0 ? <Note kind="warn">{`${unanswered} machines did not answer in time.`}</Note> : null}
        {rows.length === 0 ? (
          <Empty title="Nothing found on the machines that are online" />
        ) : (
          <ul class="rows">
            {rows.map(({ path, machine, title, snippet, atMs }) => (
              <Row
                href={path}
                tone="none"
                name={<Foreign text={title} />}
                end={atMs === null ? machine : <Ago ms={atMs} />}
                more={<Foreign text={snippet} />}
              />
            ))}
          </ul>
        )}
      </section>
      <h2>By title</h2>
    </>
  );
}

type Match = {
  readonly path: string;
  readonly machine: string;
  readonly title: string;
  readonly snippet: string;
  readonly atMs: number | null;
};

function matchIn(told: unknown): Match[] {
  if (!isRecord(told) || typeof told["session_id"] !== "string") return [];
  const { machine, session } = parseSessionHandle(told["session_id"]);
  if (machine === null) return [];
  const [first] = Array.isArray(told["matches"]) ? (told["matches"] as unknown[]) : [];
  const text = isRecord(first) ? (first["snippet"] ?? first["text"]) : null;
  const at = told["updated_at_ms"];
  return [
    {
      path: sessionPath(machine, session),
      machine,
      title: typeof told["title"] === "string" && told["title"] !== "" ? told["title"] : "Untitled session",
      snippet: `${machine} · ${typeof text === "string" ? text.replaceAll(/\s+/g, " ") : ""}`,
      atMs: typeof at === "number" && Number.isFinite(at) ? at : null,
    },
  ];
}

function askedIn(c: PageContext): Asked {
  const { state, machine, q = "", said, before = "" } = c.req.query();
  const [, lastMs, id] = /^([0-9a-z]{1,11})-([0-9a-z]{1,11})$/.exec(before) ?? [];
  return {
    state: STATES.find(([one]) => one !== null && one === state)?.[0] ?? null,
    machine: machine !== undefined && isMachineName(machine) ? machine : null,
    words: q.slice(0, 200).trim(),
    isDeep: said === "1" && q.trim() !== "",
    before:
      lastMs === undefined || id === undefined
        ? null
        : { lastMs: Number.parseInt(lastMs, 36), id: Number.parseInt(id, 36) },
  };
}

function addressOf({ state, machine, words, isDeep, before }: Asked): string {
  const query = new URLSearchParams();
  if (state !== null) query.set("state", state);
  if (machine !== null) query.set("machine", machine);
  if (words !== "") query.set("q", words);
  if (isDeep) query.set("said", "1");
  if (before !== null) query.set("before", `${before.lastMs.toString(36)}-${before.id.toString(36)}`);
  const text = query.toString();
  return text === "" ? "/sessions" : `/sessions?${text}`;
}
