import { DELTA_SUFFIX, type EventPush } from "#protocol/event.ts";
import { noteWithin } from "#protocol/keep-within.ts";
import { isRecord } from "#protocol/json.ts";
import { LIVE_MS } from "#protocol/limits.ts";
import type { EventOrigin, EventQuery, EventsRead, EventsRefused } from "./event-query.ts";
import { type Identified, isMeant } from "../http/shown-machine.ts";
import { Inbox } from "../inbox/inbox.ts";
import { ACTIVE_MS, HEARD_MACHINES, LIVE_MACHINES, OPERATOR } from "./limits.ts";
import type { LogMachine } from "./log-machine.ts";
import { type AddedEvent, MergedLog } from "./merged-log.ts";
import { type IndexedSession, SessionIndex } from "./session-index.ts";
import type { InboxItem, InboxPage, InboxQuery } from "../inbox/inbox-item.ts";
import type { IndexedSessions, ListedSession, SessionListQuery } from "./session-query.ts";
import { Waiters } from "./waiters.ts";

/**
 * A poll that waited continues for this long after the first event, because events come in groups: the end of a turn makes
 * three. The client then needs one poll for all of them. Milliseconds; too short to notice for someone who waits.
 */
const GATHER_MS = 250;

/** The event with which a coding machine says that the agent has taken a prompt. */
const TURN_STARTED = "turn.started";

/** How much was deleted, and `former`: how many events and sessions are left of computers that had the name before. */
export type Forgotten = { readonly events: number; readonly sessions: number; readonly former: number };

/** `null` if there was nothing of that name. `computers`: identities of those whose history was meant, as far as they are known. */
export type ForgetAnswer = { readonly forgotten: Forgotten | null; readonly computers: readonly string[] };

/** Whether the machine that is asked for is another computer than before. As long as nobody knows which one it is, it counts as the same. */
function isAnother({ machine, before }: EventQuery, computer: string | null): boolean {
  return before !== null && before.name === machine && computer !== null && !isMeant(before, { identity: computer });
}

function statusOf(isGone: boolean, isOnline: boolean): ListedSession["status"] {
  if (isGone) return "gone";
  return isOnline ? "online" : "offline";
}

/** What happened on a person's machines: the merged log, the index of sessions, and those who wait for something new. */
export class History {
  readonly log: MergedLog;
  readonly sessions: SessionIndex;
  /** What the sessions wait for. */
  readonly inbox: Inbox;
  readonly #waiters = new Waiters<AddedEvent>();
  readonly #isMachine: (name: string) => boolean;
  readonly #hasNews: () => void;
  readonly #onTurn: (computer: EventOrigin, turn: string) => void;
  /** When each machine last pushed something, by name. */
  readonly #pushedMs = new Map<string, number>();
  /** When each machine was last told that somebody watches. */
  readonly #toldMs = new Map<string, number>();
  #liveUntilMs = 0;

  /**
   * @param isMachine whether a machine of this name is registered, even if it never pushed anything
   * @param hasNews called when events were stored
   * @param onTurn called when an agent has taken a prompt, with where it did and the id of its turn
   * @param restored the id of the last restore of a backup
   */
  constructor(
    sql: SqlStorage,
    isMachine: (name: string) => boolean,
    hasNews: () => void,
    onTurn: (computer: EventOrigin, turn: string) => void = () => undefined,
    restored?: string,
  ) {
    this.sessions = new SessionIndex(sql);
    this.log = new MergedLog(sql, undefined, restored);
    this.inbox = new Inbox(sql);
    this.#isMachine = isMachine;
    this.#hasNews = hasNews;
    this.#onTurn = onTurn;
  }

  /** For how long the pieces of unfinished messages are still wanted. Milliseconds; 0 when nobody watches. */
  get liveMs(): number {
    return Math.max(0, Math.min(LIVE_MS, this.#liveUntilMs - Date.now()));
  }

  /** Stores a push and wakes those who wait for its events. Answers up to where the machine's log is stored. */
  push(slug: string, name: string, push: EventPush, end: number): number {
    const nowMs = Date.now();
    const { stored, machine, added } = this.log.push(slug, name, push, end, nowMs);
    if (added.length === 0) return stored;
    noteWithin(this.#pushedMs, HEARD_MACHINES, name, nowMs);
    this.sessions.note(machine, added, nowMs);
    this.inbox.note(machine, added, nowMs);
    for (const { type, data } of added)
      if (type === TURN_STARTED && isRecord(data) && typeof data["turn_id"] === "string")
        this.#onTurn({ machine: name, identity: this.log.machines.identityOf(machine) }, data["turn_id"]);
    for (const event of added) this.#waiters.announce(event);
    if (added.some(({ type }) => !type.endsWith(DELTA_SUFFIX))) this.#hasNews();
    return stored;
  }

  /** Stores an event of Operator's own about a machine: the computer that it is about, which may not have the name any more. */
  tell(machine: Identified, type: string, session: string | null, data: unknown): void {
    const added = this.log.addOwn(machine, type, session, data, Date.now());
    if (added === null) return;
    this.#waiters.announce(added);
    this.#hasNews();
  }

  /** Stores Operator's own events, numbered by `seq`. `events` may begin with some that are stored already. */
  pushOwn(events: EventPush["events"]): void {
    const seq = events.at(-1)?.seq ?? 0;
    const push = { after: 0, events, position: { epoch: OPERATOR, seq }, gap: false, more: false };
    const { added } = this.log.push(OPERATOR, OPERATOR, push, seq, Date.now());
    for (const event of added) this.#waiters.announce(event);
    if (added.length > 0) this.#hasNews();
  }

  /** Reads what there is, or waits for it, up to `waitMs`. */
  async poll(query: EventQuery): Promise<EventsRead | EventsRefused> {
    const reach = this.log.reachOf(query, this.#isMachine);
    if (reach === undefined) return { refused: "machine_unknown", machine: query.machine ?? "" };
    if (isAnother(query, reach.computer)) return { refused: "machine_replaced", machine: query.machine ?? "" };
    const found = this.log.read(query, reach);
    if ("refused" in found || found.events.length > 0 || found.gaps.length > 0 || query.waitMs <= 0) return found;
    const untilMs = Date.now() + query.waitMs;
    await this.#waiters.wait(this.log.wants(query, reach), query.waitMs);
    const leftMs = untilMs - Date.now();
    if (query.detail === "coarse" && leftMs > 0) await scheduler.wait(Math.min(GATHER_MS, leftMs));
    return this.log.read({ ...query, after: found.position }, reach);
  }

  /** Sessions, newest first. @param isOnline whether the machine of this name is online */
  list({ visible, machine, ...query }: SessionListQuery, isOnline: (name: string) => boolean): IndexedSessions {
    const ids = this.log.idsFor(visible, machine, this.#isMachine);
    if (ids === undefined) return { sessions: [], next: null, isKnown: false };
    const { sessions, next } = this.sessions.list({ ...query, ids });
    const listed = sessions.map((one) => ({ ...one, status: statusOf(one.machineGone, isOnline(one.machine)) }));
    return { sessions: listed, next, isKnown: true };
  }

  /**
   * Deletes what was seen of a machine, or of one of its sessions.
   *
   * Several computers may have had the name. A session is deleted whichever of them it was on, because its handle says no more than
   * the name. Otherwise the history of the machine that has the name now is meant; with `former`, or if no machine has it, that of all
   * computers that had it before. Operator's own events, the notices, are nobody's to delete: they are the trace of what was done.
   */
  forget(name: string, session: string | null, former: boolean): ForgetAnswer {
    const named = name === OPERATOR ? [] : this.log.machines.allNamed(name);
    const isFormer = former || !this.#isMachine(name);
    const meant = named.filter(({ goneMs }) => session !== null || (goneMs !== null) === isFormer);
    const computers = meant.flatMap(({ id }) => this.log.machines.identityOf(id) ?? []);
    if (named.length === 0) return { forgotten: null, computers };
    let [events, sessions, left] = [0, 0, 0];
    for (const { id } of meant) {
      events += this.log.forget(id, session);
      sessions += this.sessions.forget(id, session);
      this.inbox.forget(id, session);
    }
    for (const one of named) if (!meant.includes(one)) left += one.rows + this.sessions.countOf(one.id);
    const hasAny = events + sessions > 0 || session === null;
    return { forgotten: hasAny ? { events, sessions, former: left } : null, computers };
  }

  /** Requests that wait for a person, or did. `null` if the machine that was asked for is unknown to this reader. */
  pending({ visible, machine, ...query }: InboxQuery, nowMs: number): InboxPage | null {
    const ids = this.log.idsFor(visible, machine, this.#isMachine);
    return ids === undefined ? null : this.inbox.list({ ...query, ids }, nowMs);
  }

  /** A request of a computer, by the machine's own id of it. */
  asked(about: EventOrigin, request: string): InboxItem | null {
    const machine = this.#originOf(about);
    return machine === null ? null : this.inbox.find(machine.id, request);
  }

  sessionOf(about: EventOrigin, session: string): IndexedSession | null {
    const machine = this.#originOf(about);
    if (machine === null) return null;
    const query = { ids: [machine.id], project: null, state: null, session, words: [], before: null, limit: 1 };
    return this.sessions.list(query).sessions[0] ?? null;
  }

  #originOf({ machine: name, identity }: EventOrigin): LogMachine | null {
    return identity === null ? this.log.machines.named(name) : this.log.machines.identified({ name, identity });
  }

  /** A machine was removed. */
  remove(name: string, identity: string, nowMs: number): void {
    this.#endInbox(name, nowMs);
    this.log.machines.remove(name, identity, nowMs);
  }

  /** Another computer has a machine's name now. */
  pass(name: string, identities: { from: string; to: string }, nowMs: number): void {
    this.#endInbox(name, nowMs);
    this.log.machines.pass(name, identities, nowMs);
  }

  #endInbox(name: string, nowMs: number): void {
    const machine = this.log.machines.named(name);
    if (machine !== null && machine.goneMs === null) this.inbox.endMachine(machine.id, nowMs);
  }

  /**
   * Somebody watches the pieces of unfinished messages. Answers the machines that have to be told at once, because they may be in
   * the middle of a turn; the others learn it from the answer to their next report. A machine that the reader may not see is told nothing, and
   * a name that is nobody's is not kept.
   */
  watch({ machine, visible }: EventQuery): string[] {
    const nowMs = Date.now();
    this.#liveUntilMs = nowMs + LIVE_MS;
    const isVisible = (name: string): boolean =>
      visible === null || visible.includes(this.log.machines.registered(name) ?? "");
    const active = [...this.#pushedMs].flatMap(([name, atMs]) =>
      nowMs - atMs < ACTIVE_MS && isVisible(name) ? [name] : [],
    );
    const isTheirs = machine !== null && this.#isMachine(machine) && isVisible(machine);
    const names = machine === null ? active.slice(-LIVE_MACHINES) : isTheirs ? [machine] : [];
    const untold = names.filter((name) => nowMs - (this.#toldMs.get(name) ?? 0) > LIVE_MS / 2);
    for (const name of untold) noteWithin(this.#toldMs, HEARD_MACHINES, name, nowMs);
    return untold;
  }
}
