import { Hono } from "hono";
import { Live } from "../design/parts.tsx";
import { respond } from "../design/respond.tsx";
import { wantsPage } from "../design/page-wanted.ts";
import { encodeCursor } from "../events/cursor.ts";
import type { SessionLoad } from "../history/session-index.ts";
import type { IndexedSessions, SessionListQuery } from "../history/session-query.ts";
import type { InboxPage, InboxQuery } from "../inbox/inbox-item.ts";
import type { ListedMachines } from "../machines/machine-query.ts";
import type { PageApproval } from "../machines/machine-record.ts";
import { perAddress } from "../sign-in/browser-gate.ts";
import type { PageApp } from "../sign-in/page-context.ts";
import { AskedCard } from "./asked-card.tsx";
import { SignInPage } from "../sign-in/pages/sign-in-page.tsx";
import { formToken, sessionOf } from "../sign-in/session.ts";
import { atLocalhost, siteOf } from "../sign-in/site.ts";
import { registryOf } from "../user/user-rpc.ts";
import { sessionPath } from "./address.ts";
import { GettingStarted } from "./getting-started.tsx";
import { loadsByName, MachineRow } from "./machine-row.tsx";
import { SessionRow } from "./session-row.tsx";

/** Sessions in each part of the overview: what fits on a screen or two. The list has all of them. */
const SHOWN_SESSIONS = 8;

/** Requests on the overview. A person decides one after the other, and the inbox has the rest. */
const SHOWN_ASKED = 5;

/** Machines on the overview. Of more, those that are online come first. */
const SHOWN_MACHINES = 8;

/** `/`: for a person, what needs them and what runs now; for a stranger, the way in. Programs get a line of text (app.ts). */
export const overview = new Hono<PageApp>();

overview.get("/", perAddress, async (c, next) => {
  if (!wantsPage(c.req.raw) || c.env.AUTHKIT_URL) return next();
  const session = await sessionOf(c);
  if (session === null)
    return respond(
      { title: "Sign in" },
      <SignInPage next="/" isFrontDoor hasPasskeys={siteOf(c.req.url) !== null} elsewhere={atLocalhost(c.req.url)} />,
    );
  const registry = registryOf(c.env, session.person.id);
  const [position, page, inbox, count, waiting, running, recent, loads, approvals] = await Promise.all([
    registry.newestEvent(),
    registry.machinePage({ visible: null, limit: SHOWN_MACHINES }) as Promise<ListedMachines>,
    registry.inbox(WAITING) as Promise<InboxPage | null>,
    registry.inboxCount(),
    registry.listSessions(inState("waiting")) as Promise<IndexedSessions>,
    registry.listSessions(inState("running")) as Promise<IndexedSessions>,
    registry.listSessions(inState(null)) as Promise<IndexedSessions>,
    registry.sessionLoad() as Promise<SessionLoad[]>,
    registry.limitedPageApprovals() as Promise<Map<string, PageApproval>>,
  ]);
  const asked = inbox?.items.slice(0, SHOWN_ASKED) ?? [];
  const byName = loadsByName(loads);
  const csrf = await formToken(session);
  // Of a machine that tells of a waiting session without saying what it waits for, as older ones do.
  const inInbox = new Set(inbox?.items.map((one) => `${one.machine}/${one.session ?? ""}`));
  const others = waiting.sessions.filter((one) => !inInbox.has(`${one.machine}/${one.session}`));
  // Of a machine that is offline nobody knows what its sessions do.
  const runningNow = running.sessions.filter(({ status }) => status !== "offline");
  const active = new Set([...waiting.sessions, ...runningNow].map((one) => `${one.machine}/${one.session}`));
  const earlier = recent.sessions.filter((one) => !active.has(`${one.machine}/${one.session}`));
  return respond(
    { title: "Overview", at: "overview", waiting: count },
    <div data-live="/live" data-after={encodeCursor(position)}>
      <Live id="overview">
        {page.total === 0 ? (
          <>
            <h1>Welcome, {session.person.name}</h1>
            <GettingStarted env={c.env} />
          </>
        ) : (
          <>
            <h1>Overview</h1>
            {asked.length === 0 && others.length > 0 ? null : (
              <section class="section">
                <h2>
                  Needs you
                  <a href="/inbox">{count > asked.length ? `All ${count}` : "Inbox"}</a>
                </h2>
                {asked.length === 0 ? <p class="nothing soft">Nothing waits for you.</p> : null}
                {asked.map((item) => (
                  <AskedCard
                    item={item}
                    csrf={csrf}
                    isFresh={session.isFresh}
                    approval={approvals.get(item.machine) ?? "session"}
                    nowMs={Date.now()}
                    {...(item.session === null ? {} : { sessionHref: sessionPath(item.machine, item.session) })}
                  />
                ))}
              </section>
            )}
            <Sessions
              title={asked.length === 0 ? "Needs you" : "Also waiting"}
              found={{ ...waiting, sessions: others }}
              path="/sessions?state=waiting"
            />
            <Sessions title="Running" found={{ ...running, sessions: runningNow }} path="/sessions?state=running" />
            <section class="section">
              <h2>
                <span>
                  Machines <span class="soft">{`${page.online} of ${page.total} online`}</span>
                </span>
                <a href={page.hasMore ? "/machines" : "/machines/new"}>
                  {page.hasMore ? `All ${page.total}` : "Add one"}
                </a>
              </h2>
              <ul class="rows">
                {page.machines.map((machine) => (
                  <MachineRow machine={machine} load={byName.get(machine.name)} />
                ))}
              </ul>
            </section>
            {earlier.length === 0 ? (
              active.size > 0 ? null : (
                <p class="soft">
                  No sessions yet. Start one from <a href="/connect">a client</a>, or on a machine.
                </p>
              )
            ) : (
              <Sessions title="Recent sessions" found={{ ...recent, sessions: earlier }} path="/sessions" />
            )}
          </>
        )}
      </Live>
    </div>,
  );
});

/** Everything that waits for the person: the oldest of each machine first. */
const WAITING: InboxQuery = {
  visible: null,
  machine: null,
  session: null,
  state: "waiting",
  after: null,
  isMixed: true,
};

type SessionsProps = { readonly title: string; readonly found: IndexedSessions; readonly path: string };

function Sessions({ title, found: { sessions }, path }: SessionsProps) {
  if (sessions.length === 0) return null;
  return (
    <section class="section">
      <h2>
        {title}
        <a href={path}>All</a>
      </h2>
      <ul class="rows">
        {sessions.map((session) => (
          <SessionRow session={session} />
        ))}
      </ul>
    </section>
  );
}

function inState(state: SessionListQuery["state"]): SessionListQuery {
  return { visible: null, machine: null, project: null, state, words: [], before: null, limit: SHOWN_SESSIONS };
}
