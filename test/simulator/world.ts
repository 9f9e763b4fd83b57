import { type LogPosition, PresenceType } from "#protocol/event.ts";
import { slugOf } from "#protocol/slug.ts";
import type { RegisterRequest } from "#protocol/rest-api.ts";
import type { Env } from "../../control-api/src/env.ts";
import { tagOf } from "../../control-api/src/http/caller.ts";
import { Reports } from "../../control-api/src/machines/reports.ts";
import type { EventsRead, EventsRefused } from "../../control-api/src/history/event-query.ts";
import { User } from "../../control-api/src/user/user.ts";
import { Computer } from "./computer.ts";
import { Broken, Reader } from "./person.ts";
import { Platform } from "./platform.ts";
import { kernel } from "./runtime/kernel.ts";
import { ObjectStopped, SimulatedObject } from "./runtime/object.ts";
import { expected } from "./sessions.ts";

/** People with machines. Both call one of theirs `attic`. */
export const PEOPLE = ["ada", "ben"] as const;
const MACHINES: readonly (readonly [person: string, name: string])[] = [
  ["ada", "attic"],
  ["ada", "mini"],
  ["ben", "attic"],
];

/** Longer than any poll waits, than a report is held back and than the pauses between reports that failed a few times. */
const REST_MS = 15 * 60_000;

/** After a time at least this long, no poll may wait for what is there already. Every delay on the way is shorter. */
const WATCHED_MS = 5_000;

/** The runtime hibernates a script to which nothing happens for ten seconds. */
const HIBERNATES_MS = 10_000;

type Person = {
  readonly id: string;
  readonly object: SimulatedObject<User>;
  readonly readers: Reader[];
  wasWiped: boolean;
};

/** The people, their machines and clients, and everything between them. */
export class World {
  readonly env: Env;
  readonly platform: Platform;
  readonly people = new Map<string, Person>();
  readonly computers: Computer[] = [];
  readonly #tags = new Map<string, string>();
  readonly #sql: SqlStorage;
  #identities = 0;

  constructor(sql: SqlStorage) {
    kernel.reset();
    this.#sql = sql;
    this.env = {
      DISPATCHER: {
        fetch: (request: Request) => this.platform.dispatch(request.headers.get("x-operator-machine") ?? "", request),
      },
      DISPATCH_SECRET: "gate-secret",
      REPORT_SECRET: "report-secret",
      CLOUDFLARE_API_TOKEN: "token",
      CLOUDFLARE_ACCOUNT_ID: "local",
      CLOUDFLARE_API_URL: "http://platform.test/client/v4",
      DISPATCH_NAMESPACE: "operator",
      SERVICE: "operator",
      USER: { getByName: (id: string) => this.#stub(id) },
    } as unknown as Env;
    const reports = new Reports({} as never, this.env);
    this.platform = new Platform(sql, { fetch: (request) => reports.fetch(request) });
  }

  /** Registers everybody's machines, with readers that have read from the beginning. */
  async begin(): Promise<void> {
    for (const [index, id] of PEOPLE.entries()) {
      this.#tags.set(id, await tagOf(id));
      const object = new SimulatedObject<User>(id, this.#sql, `u${index}_`, (ctx) => new User(ctx, this.env as never));
      this.people.set(id, { id, object, readers: [], wasWiped: false });
    }
    for (const [id, name] of MACHINES) await this.register(id, name);
    for (const person of this.people.values()) {
      const [first = null] = this.computers.filter(({ owner }) => owner === person.id);
      const coarse = { detail: "coarse", types: null, only: null } as const;
      for (const interest of [
        { ...coarse, label: "all" },
        { ...coarse, label: "deltas", detail: "deltas" as const },
        { ...coarse, label: "messages", types: ["message"] },
        { ...coarse, label: "limited", only: first },
      ]) {
        const reader = new Reader(interest, this.env, person.id, () => this.computers);
        await reader.poll(0);
        person.readers.push(reader);
      }
    }
  }

  /** Frees what the scenario has stored. */
  end(): void {
    for (const { object } of this.people.values()) object.wipe();
    for (const { machine } of this.platform.scripts.values()) machine.wipe();
  }

  slug(owner: string, name: string): string {
    return slugOf(name, this.#tags.get(owner) ?? "");
  }

  person(id: string): Person {
    const person = this.people.get(id);
    if (person === undefined) throw new Error(`there is nobody called ${id}`);
    return person;
  }

  /** A computer becomes a machine of this name. */
  async register(owner: string, name: string, replace = false): Promise<Computer | null> {
    await this.look(owner);
    const identity = `identity-${String(this.#identities++).padStart(8, "0")}`;
    const request: RegisterRequest = { name, identity, ...(replace ? { replace } : {}) };
    const registered = await this.person(owner).object.call((user) => user.register(request, null));
    this.renew(owner);
    if ("code" in registered) return null;
    for (const one of this.computers)
      if (one.owner === owner && one.name === name && !one.isGone) {
        one.isGone = true;
        one.drop();
      }
    const computer = new Computer(identity, owner, name, registered.machine.slug, registered.token ?? "");
    this.computers.push(computer);
    return computer;
  }

  /** Asks the person's object something. A call that is lost because the object is stopped is a failure that the asker sees. */
  async ask<Value>(id: string, use: (user: User) => Value | Promise<Value>): Promise<Value | null> {
    try {
      return await this.person(id).object.call(use);
    } catch (reason) {
      if (reason instanceof ObjectStopped) return null;
      throw reason;
    }
  }

  async dial(computer: Computer): Promise<void> {
    if (computer.isGone) return;
    const headers = { upgrade: "websocket", authorization: `Bearer ${computer.token}` };
    const answer = await this.platform.dispatch(computer.slug, new Request("http://machine/link", { headers }));
    const { webSocket } = answer as unknown as { webSocket?: never };
    if (webSocket !== undefined && webSocket !== null) return computer.open(webSocket);
    // It missed that it was renamed. Its person sets it up again, which finds it by its identity.
    await this.look(computer.owner);
    computer.slug = this.slug(computer.owner, computer.name);
  }

  /** The person looks at the list of machines: a computer may have another name than its connector knows. */
  async look(id: string): Promise<void> {
    const machines = (await this.ask(id, (user) => user.machines())) ?? [];
    for (const computer of this.computers)
      computer.name = machines.find(({ identity }) => identity === computer.identity)?.name ?? computer.name;
  }

  /** Cuts the wire: of what is on its way, so many bytes arrive on each side. A half-open cut is noticed by the computer alone. */
  async cut(computer: Computer, toScript: number, toComputer: number, isHalfOpen: boolean): Promise<void> {
    const { socket } = computer;
    if (socket === null) return;
    const script = this.platform.scripts.get(computer.slug);
    const [sent, answered] = [socket.cut(toScript), socket.peer.cut(toComputer)];
    for (const frame of sent) if ("text" in frame) await this.#toScript(computer, socket, frame.text);
    for (const frame of answered) if ("text" in frame) computer.heard(frame.text);
    computer.drop();
    socket.readyState = 3;
    if (isHalfOpen || script === undefined) return;
    await this.#closeAtScript(script.machine, socket.peer, 1006);
  }

  /** A person wants a session forgotten. What its computer has not sent yet is not known to anybody, and may still come. */
  async forget(computer: Computer, session: string): Promise<void> {
    await this.look(computer.owner);
    const sent = computer.made.length - computer.spool.waiting;
    const forgotten = await this.ask(computer.owner, (user) => user.forget(computer.name, session, false, null)).catch(
      () => null,
    );
    for (const event of computer.made) {
      if (event.session !== session) continue;
      event.mayBeMissing = true;
      if (forgotten !== null && event.n <= sent) event.isForgotten = true;
    }
  }

  async remove(computer: Computer): Promise<void> {
    await this.look(computer.owner);
    const failure = await this.ask(computer.owner, (user) => user.remove(computer.name, null));
    if (failure === null) computer.isGone = true;
    this.renew(computer.owner);
  }

  /** Renames a machine, whose connector has just sent so many events, each in a frame of its own. They arrive while the log is moved. */
  async rename(computer: Computer, name: string, sends: number): Promise<void> {
    await this.look(computer.owner);
    for (let count = 0; count < sends; count += 1) computer.make("message", null, { role: "assistant", text: "sent" });
    this.platform.meanwhile = async () => {
      const { socket } = computer;
      if (socket === null || computer.isStalled) return;
      for (const frame of socket.take(1)) if ("text" in frame) await this.#toScript(computer, socket, frame.text);
    };
    await this.ask(computer.owner, (user) => user.rename(computer.name, name, null));
    this.platform.meanwhile = null;
    await this.look(computer.owner);
    this.renew(computer.owner);
  }

  /** Names of a person's machines may stand for others now. */
  renew(id: string): void {
    for (const reader of this.person(id).readers) reader.renew();
  }

  /** A script's storage is lost. */
  async wipeScript(computer: Computer): Promise<void> {
    await this.look(computer.owner);
    const known = await this.ask(computer.owner, (user) => user.machine(computer.name));
    computer.hasLostScript = true;
    // Of a log that was lost before its first push, nobody can know that it was there.
    if ((known?.position ?? null) === null) for (const event of computer.made) event.mayBeMissing = true;
    // Those that the connector was not told are stored. It sends them again, and this script cannot know that its former self had them.
    for (const event of computer.made.slice(computer.made.length - computer.spool.waiting)) event.mayRepeat = true;
    this.platform.restart(computer.slug);
    this.platform.scripts.get(computer.slug)?.machine.wipe();
  }

  /** A person's database is lost: the list of machines, the log and the index. */
  wipePerson(id: string): void {
    const person = this.person(id);
    person.object.wipe();
    person.wasWiped = true;
  }

  /** Lets time pass: timers, alarms and everything on its way, in the order of their times. */
  async advance(ms: number): Promise<void> {
    const untilMs = kernel.nowMs + ms;
    for (let steps = 0; ; steps += 1) {
      if (steps > 5_000) throw new Error("time does not pass");
      await this.pump();
      const nextMs = this.#nextMs();
      if (nextMs === null || nextMs > untilMs) break;
      kernel.nowMs = Math.max(kernel.nowMs, nextMs);
      kernel.fireTimers();
      await kernel.settle();
      for (const object of this.#objects()) if (isDue(object)) await object.wake();
    }
    kernel.nowMs = untilMs;
    if (ms >= HIBERNATES_MS)
      for (const { machine } of this.platform.scripts.values()) if (machine.isIdle) machine.stop();
    if (ms >= WATCHED_MS)
      for (const { readers } of this.people.values()) for (const reader of readers) await reader.checkWoken();
  }

  /** Delivers everything that is on its way, until nothing is. */
  async pump(): Promise<void> {
    for (let rounds = 0; ; rounds += 1) {
      if (rounds > 2_000) throw new Error("the wires are never empty");
      await kernel.settle();
      let moved = 0;
      for (const computer of this.computers) {
        const { socket } = computer;
        if (socket === null || computer.isStalled) continue;
        for (const frame of socket.take()) {
          moved += 1;
          if ("text" in frame) await this.#toScript(computer, socket, frame.text);
        }
        for (const frame of socket.peer.take()) {
          moved += 1;
          if ("text" in frame) computer.heard(frame.text);
          else {
            const { code, reason } = frame.close;
            computer.closed(code, reason, (name) => this.slug(computer.owner, name));
            const script = this.#scriptWith(socket.peer);
            if (script !== null) await this.#closeAtScript(script, socket.peer, code);
          }
        }
      }
      if (moved === 0) return;
    }
  }

  /** Lets everything come to rest, and checks what must hold then. */
  async rest(): Promise<void> {
    for (const computer of this.computers) computer.isStalled = false;
    this.platform.fates.clear();
    const late = this.platform.late.splice(0);
    for (const arrive of late) await arrive().catch(() => undefined);
    // What a report that came late has broken may show only with the next event. Without one, events are not made here: they would have
    // reported what an earlier report had failed to.
    if (late.length > 0)
      for (const computer of this.computers)
        if (!computer.isGone) computer.make("message", null, { role: "assistant", text: "at rest" });
    await this.advance(REST_MS);
    // A half-open link is noticed when its computer dials again, or by the hourly check, which also notices a link that ended together with
    // the script. Every second computer stays away.
    const restarted = new Set<string>();
    for (const [index, computer] of this.computers.entries()) {
      if (computer.isGone) continue;
      if (computer.socket === null || !computer.isLinked) await this.dial(computer);
      await this.pump();
      if (index % 2 === 0) continue;
      if (computer.made.length % 2 === 0) await this.cut(computer, 1e9, 1e9, false);
      else {
        this.platform.restart(computer.slug);
        restarted.add(computer.slug);
      }
    }
    await this.advance(REST_MS);
    for (
      let tries = 0;
      tries < 5 && this.computers.some((one, index) => index % 2 === 0 && !one.isGone && !one.isLinked);
      tries += 1
    ) {
      for (const [index, one] of this.computers.entries()) if (index % 2 === 0 && !one.isLinked) await this.dial(one);
      await this.advance(60_000);
    }
    // A lost list is rebuilt when somebody looks at it, and asks the machines' scripts then.
    for (const id of this.people.keys()) await this.look(id);
    // A report that failed is repeated within minutes. The hourly one would hide that it was not.
    if (kernel.lateMs === 0)
      for (const person of this.people.values()) {
        await this.#checkEvents(person);
        // A list that was rebuilt learns them with the next report.
        if (!person.wasWiped) await this.#checkFacts(person);
      }
    await this.advance(2 * 60 * 60_000);
    // A report that failed is repeated at a time of the clock. If that was set back meanwhile, the repetition is late by as much, and
    // with it what the report says. Of scripts whose reports were answered, presence must be right before,
    // unless a link ended together with its script: the check that notices this was set before the restart.
    const maybeLate = new Set([...this.platform.unanswered, ...restarted]);
    for (const person of this.people.values()) await this.#checkPresence(person, maybeLate);
    await this.advance(kernel.lateMs);
    for (const person of this.people.values()) await this.#check(person);
  }

  async #check(person: Person): Promise<void> {
    await this.#checkEvents(person);
    await this.#checkPresence(person);
    await this.#checkPresenceEvents(person);
    await this.#checkFacts(person);
    for (const computer of this.computers)
      if (computer.owner === person.id && !computer.isGone && computer.isLinked && computer.spool.waiting > 0)
        throw new Broken(`${computer.name} of ${person.id} still holds events`);
    await this.#checkSessions(person);
  }

  async #checkEvents({ id, readers }: Person): Promise<void> {
    for (const reader of readers) {
      if (reader.waiting !== null) throw new Broken(`${reader.interest.label} of ${id}: a poll did not end`);
      if (reader.failure !== null) throw reader.failure;
      await reader.drain();
      reader.checkComplete();
    }
  }

  async #checkFacts({ id }: Person): Promise<void> {
    const machines = (await this.ask(id, (user) => user.machines())) ?? [];
    for (const computer of this.computers.filter((one) => one.owner === id && !one.isGone && one.isLinked)) {
      const shown = machines.find(({ name }) => name === computer.name)?.facts?.cpus;
      if (shown !== computer.facts.cpus)
        throw new Broken(`${computer.name} of ${id} has ${computer.facts.cpus} processors, and ${shown} are shown`);
    }
  }

  /** A reader of events learns from them alone whether a machine is online: the newest event about its link says so. */
  async #checkPresenceEvents(person: Person): Promise<void> {
    if (person.readers.some(({ hasSeenGap }) => hasSeenGap)) return; // what was trimmed may be such an event
    for (const computer of this.computers) {
      if (computer.owner !== person.id || computer.isGone || computer.hasLostScript) continue;
      const newest = await this.#newestPresence(person, computer.name);
      if (newest === undefined) continue; // trimmed
      const isOnline = newest !== PresenceType.OFFLINE;
      if (isOnline !== computer.isLinked)
        throw new Broken(
          `the newest event about the link of ${computer.name} of ${person.id} is ${newest}, which is not so`,
        );
    }
  }

  async #newestPresence({ id }: Person, machine: string): Promise<string | undefined> {
    const query = {
      visible: null, machine, before: null, session: null, project: null, types: Object.values(PresenceType), notices: false, detail: "coarse", waitMs: 0,
    } as const; // prettier-ignore
    let newest: string | undefined;
    for (let after: LogPosition | null = null; ;) {
      const asked: LogPosition | null = after;
      const read: EventsRead | EventsRefused | null = await this.ask(id, (user) =>
        user.pollEvents({ ...query, after: asked }),
      );
      if (read === null || "refused" in read) return newest;
      newest = read.events.at(-1)?.type ?? newest;
      if (!read.more) return newest;
      after = read.position;
    }
  }

  /** @param except slugs of machines that are not checked */
  async #checkPresence(person: Person, except: ReadonlySet<string> = new Set()): Promise<void> {
    const machines = (await this.ask(person.id, (user) => user.machines())) ?? [];
    for (const computer of this.computers.filter((one) => one.owner === person.id && !one.isGone)) {
      const record = machines.find(({ name }) => name === computer.name);
      if (record === undefined) throw new Broken(`${computer.name} of ${person.id} is not listed`);
      if (record.online !== computer.isLinked && !except.has(computer.slug))
        throw new Broken(
          `${computer.name} of ${person.id} is shown as ${record.online ? "online" : "offline"}, and is not`,
        );
    }
  }

  async #checkSessions(person: Person): Promise<void> {
    const query = { visible: null, machine: null, project: null, state: null, words: [], before: null, limit: 200 };
    const listed = (await this.ask(person.id, (user) => user.listSessions(query)))?.sessions ?? [];
    for (const { session } of listed)
      if (!session.startsWith(person.id)) throw new Broken(`${person.id} sees the session ${session}`);
    if (person.wasWiped || person.readers.some(({ hasSeenGap }) => hasSeenGap)) return;
    const told = this.computers
      .filter(({ owner, isGone, isLinked }) => owner === person.id && !isGone && isLinked)
      .flatMap((computer) => expected(computer));
    const partly = new Set(
      this.computers.flatMap(({ made }) => made.flatMap((one) => (one.mayBeMissing === true ? [one.session] : []))),
    );
    const shown = listed.filter(({ session }) => !partly.has(session) && told.some((one) => one.session === session)).map(({ session, state, title, lastMessage, machineGone }) => ({
      session, state: machineGone ? "machine_gone" : state, title, lastMessage,
    })); // prettier-ignore
    const order = (one: { session: string }, other: { session: string }): number =>
      one.session < other.session ? -1 : 1;
    const [is, should] = [shown, told].map((list) => JSON.stringify([...list].sort(order)));
    if (is !== should) throw new Broken(`${person.id}'s sessions are ${is}, and should be ${should}`);
  }

  async #toScript(computer: Computer, socket: NonNullable<Computer["socket"]>, text: string): Promise<void> {
    const script = this.#scriptWith(socket.peer);
    if (script !== null)
      await script.call((machine) =>
        (machine as unknown as { webSocketMessage(s: unknown, t: string): Promise<void> | undefined }).webSocketMessage(
          socket.peer,
          text,
        ),
      );
  }

  async #closeAtScript(script: SimulatedObject, socket: unknown, code: number): Promise<void> {
    if (!script.sockets.includes(socket as never)) return;
    (socket as { readyState: number }).readyState = 3;
    script.sockets = script.sockets.filter((one) => one !== socket);
    await script.call((machine) =>
      (machine as unknown as { webSocketClose(s: unknown, c: number): void }).webSocketClose(socket, code),
    );
  }

  #scriptWith(socket: unknown): SimulatedObject | null {
    for (const { machine } of this.platform.scripts.values())
      if (machine.sockets.includes(socket as never)) return machine;
    return null;
  }

  #objects(): SimulatedObject[] {
    return [
      ...[...this.people.values()].map(({ object }) => object),
      ...[...this.platform.scripts.values()].map(({ machine }) => machine),
    ];
  }

  #nextMs(): number | null {
    const wakes = this.#objects().flatMap(({ wakeMs }) => (wakeMs === null ? [] : [wakeMs - kernel.skewMs]));
    const times = [...wakes, ...(kernel.nextTimerMs === null ? [] : [kernel.nextTimerMs])];
    return times.length === 0 ? null : Math.min(...times);
  }

  #stub(id: string): unknown {
    const person = this.person(id);
    return new Proxy(
      {},
      {
        get:
          (_, method: string) =>
          (...args: unknown[]) => {
            const isWaiting = method === "pollEvents" && (args[0] as { waitMs: number }).waitMs > 0;
            const sent = structuredClone(args);
            return person.object.call(
              async (user) =>
                structuredClone(
                  await (user as unknown as Record<string, (...args: unknown[]) => unknown>)[method]?.(...sent),
                ),
              isWaiting,
            );
          },
      },
    );
  }
}

function isDue({ wakeMs }: SimulatedObject): boolean {
  return wakeMs !== null && wakeMs <= kernel.nowMs + kernel.skewMs;
}
