import type { MachineDetail } from "#protocol/rest-api.ts";
import { Ago, dayOf } from "../design/ago.tsx";
import { Foreign } from "../design/foreign.tsx";
import { Note } from "../design/note.tsx";
import { Copy, Empty, Live, Status } from "../design/parts.tsx";
import type { SessionLoad } from "../history/session-index.ts";
import { shownAs } from "../http/shown-machine.ts";
import type { IndexedSessions } from "../history/session-query.ts";
import { type MachineRecord, PAGE_APPROVALS, type PageApproval } from "../machines/machine-record.ts";
import { machinePath } from "./address.ts";
import { loadText, machineCondition } from "./machine-row.tsx";
import { SessionRow } from "./session-row.tsx";

/** Projects and repositories that are listed. A machine may have 200. */
const SHOWN_PROJECTS = 12;

type MachineProps = {
  readonly detail: MachineDetail;
  readonly record: MachineRecord;
  readonly sessions: IndexedSessions;
  readonly load: SessionLoad | undefined;
  readonly csrf: string;
  readonly refusal: { readonly text: string; readonly typed: string } | undefined;
};

/** One machine: how it is, what it says of itself, its sessions, and what can be done with it. */
export function MachinePage(props: MachineProps) {
  const { detail, record, sessions } = props;
  const path = machinePath(detail.name);
  // What the script answered is newer than the registry.
  const { tone, word } = machineCondition({ ...record, online: detail.status === "online" });
  return (
    <>
      <a class="back" href="/machines">
        ‹ Machines
      </a>
      <Live id="machine">
        <div class="head">
          <h1>{detail.name}</h1>
          <Status tone={tone}>{word}</Status>
        </div>
        {detail.error === null ? null : <Note kind="warn">{detail.error.message}</Note>}
        <LinkNote detail={detail} />
        {detail.status === "online" || detail.error !== null || detail.kind === "hosted" ? null : (
          <Note kind="warn">
            {detail.status === "offline"
              ? "It is offline. Wake the computer, or run "
              : "It has not connected yet. Run "}
            <code>codez connect {detail.name}</code> on it.
          </Note>
        )}
        <Facts detail={detail} load={props.load} />
        {detail.kind === "hosted" ? null : (
          <p>
            <a class="button plain small" href={`${path}/health`}>
              Health and policy
            </a>
          </p>
        )}
        <section class="section">
          <h2>
            Sessions
            <span>
              {detail.status === "online" ? <a href={`/sessions/new?machine=${detail.name}`}>Start one</a> : null}
              {sessions.next === null ? null : (
                <>
                  {" · "}
                  <a href={`/sessions?machine=${detail.name}`}>All</a>
                </>
              )}
            </span>
          </h2>
          {sessions.sessions.length === 0 ? (
            <Empty title="No sessions yet">
              <p>Sessions of this machine appear here as soon as they are started, from wherever.</p>
            </Empty>
          ) : (
            <ul class="rows">
              {sessions.sessions.map((session) => (
                <SessionRow session={session} />
              ))}
            </ul>
          )}
        </section>
        <Projects detail={detail} />
      </Live>
      <section class="section">
        <h2>Use it</h2>
        <p class="soft">Its own MCP server, as if it were local to the client:</p>
        <Copy text={detail.mcpUrl} label="its address" />
      </section>
      {detail.kind === "hosted" ? null : <Approvals record={record} csrf={props.csrf} path={path} />}
      <Manage {...props} path={path} />
    </>
  );
}

function Facts({
  detail: { facts, state, status, lastSeenMs, createdMs, outdated, link, kind },
  load,
}: Pick<MachineProps, "detail" | "load">) {
  const told = state?.facts ?? facts;
  const connectedMs = status === "online" ? (state?.connectedAtMs ?? null) : null;
  return (
    <dl class="card facts">
      {connectedMs !== null ? (
        <Fact name="Online since">
          <Ago ms={connectedMs} />
        </Fact>
      ) : kind === "hosted" ? null : (
        <Fact name="Last seen">{lastSeenMs === null ? "never" : <Ago ms={lastSeenMs} />}</Fact>
      )}
      {told === null ? null : (
        <>
          <Fact name="MCP server">
            {told.agent === null ? null : <Foreign text={`${told.agent.name} ${told.agent.version}`} />}
            {told.agent === null || told.server === undefined || status !== "online" ? null : ", "}
            {told.server === undefined || status !== "online"
              ? null
              : told.server === "up"
                ? "answers"
                : "does not answer"}
          </Fact>
          <Fact name="Connector">
            <Foreign text={`codez ${told.codez}`} />
          </Fact>
          <Fact name="Computer">
            <Foreign text={told.hostname} />
          </Fact>
          <Fact name="System">
            <Foreign text={`${told.os} ${told.arch}`} />
          </Fact>
          <Fact name="Size">{`${told.cpus} cores, ${gigabytes(told.memoryBytes)}`}</Fact>
        </>
      )}
      {kind === "hosted" || status !== "online" ? null : (
        <Fact name="Sessions">{load === undefined ? "none running" : loadText(load)}</Fact>
      )}
      {state === null || status !== "online" ? null : <Fact name="Calls under way">{state.exchanges}</Fact>}
      <Fact name="Added">{dayOf(createdMs)}</Fact>
      {link == null ? null : <Fact name="Link">{link.key === null ? "by token" : "bound to its key"}</Fact>}
      {outdated ? <Fact name="Script">updated at next dial</Fact> : null}
    </dl>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children?: unknown }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function gigabytes(bytes: number): string {
  return `${Math.max(0, Math.round(bytes / 1024 ** 3))} GB`;
}

/** What its person must know about the machine's link. */
function LinkNote({ detail: { name, link } }: { readonly detail: MachineDetail }) {
  if (link == null) return null;
  if (link.refused !== null)
    return (
      <Note kind="bad">
        Somebody dialled as this machine {link.refused.count} times with its link token but without its key, last{" "}
        <Ago ms={link.refused.lastMs} />. The token was copied: run <code>codez rotate {name}</code> on the machine.
      </Note>
    );
  if (link.takenOverMs === null) return null;
  return (
    <Note kind="warn">
      This name passed to another computer or key <Ago ms={link.takenOverMs} />. If that was not you, run{" "}
      <code>codez restore {name}</code>.
    </Note>
  );
}

function Projects({ detail: { state, facts } }: { readonly detail: MachineDetail }) {
  const told = state?.facts ?? facts;
  if (told === null) return null;
  const branches = new Map(told.repos.map(({ path, branch }) => [path, branch]));
  const projects = told.projects ?? told.repos.map(({ path }) => ({ slug: path, path }));
  if (projects.length === 0) return null;
  return (
    <section class="section">
      <h2>
        <span>
          Projects <span class="soft">{projects.length}</span>
        </span>
      </h2>
      <ul class="list card">
        {projects.slice(0, SHOWN_PROJECTS).map(({ slug, path }) => (
          <li>
            <code>
              <Foreign text={path ?? slug} />
            </code>
            {path === null || branches.get(path) === undefined ? null : (
              <span class="soft">
                <Foreign text={branches.get(path) ?? ""} limit={60} />
              </span>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

const APPROVAL_WORDS: Readonly<Record<PageApproval, string>> = {
  session: "requests once, or for their session",
  once: "each request once",
  nothing: "nothing",
};

type ApprovalsProps = Pick<MachineProps, "record" | "csrf"> & { readonly path: string };

/** Who may answer the permission requests of a machine's sessions: its person on these pages, and what else. */
function Approvals({ record, csrf, path }: ApprovalsProps) {
  const { pageApproval, remoteApproval, elicitation } = record;
  return (
    <section class="card" id="approval">
      <h2>Permission requests</h2>
      <form method="post" action={`${path}/approval`}>
        <input type="hidden" name="csrf" value={csrf} />
        <input type="hidden" name="machine" value={shownAs(record)} />
        <label>
          On these pages you may allow
          <select name="approval">
            {PAGE_APPROVALS.map((one) => (
              <option value={one} selected={one === pageApproval}>
                {APPROVAL_WORDS[one]}
              </option>
            ))}
          </select>
        </label>
        <p class="soft">
          Requests can always be denied here, and answered on the machine with <code>codez permissions</code>.
        </p>
        <button class="plain small">Save</button>
      </form>
      <ul class="list">
        <li>
          <span>
            {remoteApproval ? "Apps and tokens may answer" : "Apps and tokens may not answer"}
            <br />
            <span class="soft">If they may, a model may approve its own commands.</span>
          </span>
          <AppsForm
            csrf={csrf}
            machine={record}
            field="allow"
            isOn={remoteApproval}
            words={["Let them answer", "Stop"]}
          />
        </li>
        <li>
          <span>
            {elicitation ? "Apps may ask you in a form" : "Apps may not ask you in a form"}
            <br />
            <span class="soft">
              The app then answers the one request that it asked about. Operator cannot see whether you filled the form
              in: allow it if you trust your apps to ask.
            </span>
          </span>
          <AppsForm
            csrf={csrf}
            machine={record}
            field="ask"
            isOn={elicitation}
            words={["Ask me in apps", "No forms"]}
          />
        </li>
      </ul>
      <p class="soft">
        For both, the machine's serve.json must accept answers from apps (<code>respondPermission</code>).
      </p>
    </section>
  );
}

type AppsFormProps = {
  readonly csrf: string;
  readonly machine: MachineRecord;
  readonly field: "allow" | "ask";
  readonly isOn: boolean;
  /** What the button says to turn it on, and to turn it off. */
  readonly words: readonly [on: string, off: string];
};

function AppsForm({ csrf, machine, field, isOn, words: [on, off] }: AppsFormProps) {
  return (
    <form method="post" action={`/account/approvals/${machine.name}`}>
      <input type="hidden" name="csrf" value={csrf} />
      <input type="hidden" name="machine" value={shownAs(machine)} />
      <input type="hidden" name="from" value="machine" />
      <button class="plain small" name={field} value={isOn ? "no" : "yes"}>
        {isOn ? off : on}
      </button>
    </form>
  );
}

type ManageProps = Pick<MachineProps, "detail" | "record" | "csrf" | "refusal"> & { readonly path: string };

function Manage({ detail, record, csrf, refusal, path }: ManageProps) {
  const isHosted = detail.kind === "hosted";
  return (
    <section class="card" id="manage">
      <h2>Manage</h2>
      {refusal === undefined ? null : <Note kind="bad">{refusal.text}</Note>}
      {isHosted ? null : (
        <form method="post" action={`${path}/rename#manage`}>
          <input type="hidden" name="csrf" value={csrf} />
          <input type="hidden" name="machine" value={shownAs(record)} />
          <label>
            Name
            <input
              name="name"
              value={refusal?.typed ?? detail.name}
              autocapitalize="none"
              autocomplete="off"
              spellcheck={false}
              maxlength={32}
              aria-invalid={refusal === undefined ? undefined : "true"}
              required
            />
          </label>
          <button class="plain">Rename</button>
        </form>
      )}
      {isHosted ? null : <hr />}
      <div class="actions">
        {isHosted ? null : (
          <a class="button plain small" href={`${path}/rotate`}>
            Disconnect
          </a>
        )}
        <a class="button danger small" href={`${path}/remove`}>
          Remove
        </a>
      </div>
    </section>
  );
}
