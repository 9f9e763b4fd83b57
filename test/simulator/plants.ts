/** A bug that can be planted in the code under simulation, to see that the simulator finds it. */
type Plant = {
  readonly name: string;
  /** Path of the source, from the repository's root. */
  readonly file: string;
  /** What is replaced, exactly once in that file; the bug is what it is replaced with. */
  readonly from: string;
  readonly to: string;
};

const MERGED_LOG = "control-api/src/history/merged-log.ts";
const LOG_MACHINE = "control-api/src/history/log-machine.ts";
const HISTORY = "control-api/src/history/history.ts";
const EVENT_LOG = "machine-template/src/event-log.ts";
const MACHINE = "machine-template/src/machine.ts";
const REPORTER = "machine-template/src/reporter.ts";

/**
 * `npm run simulate -- --plants` plants one after the other, and fails unless each is found. A bug that a second mechanism makes up for
 * does not belong here, and neither does one that only a scenario of a particular order finds, such as a former log
 * that is taken for the current one. It breaks a rule in a scenario that was written for it.
 */
export const PLANTS: readonly Plant[] = [
  {
    name: "repeated pushes are stored again",
    file: MERGED_LOG,
    from: "const fresh = push.events.filter(({ seq }) => seq > stored);",
    to: "const fresh = push.events;",
  },
  {
    name: "a script does not know which of its connector's events it has",
    file: EVENT_LOG,
    from: "return row?.acked ?? 0;",
    to: "return row === undefined ? 0 : 0;",
  },
  {
    name: "trimming leaves no gap marker",
    file: LOG_MACHINE,
    from: "    this.markGap(id, gapSeq);\n",
    to: "",
  },
  {
    name: "events that were trimmed before the first report leave no gap marker",
    file: MERGED_LOG,
    from: "if (push.gap) this.machines.markGap(machine.id, this.#next());",
    to: "",
  },
  {
    name: "a cursor skips what did not fit into the page",
    file: MERGED_LOG,
    from: "const seq = more ? (events.at(-1)?.seq ?? from) : this.#newest;",
    to: "const seq = this.#newest;",
  },
  {
    name: "a reader who may see one machine reads all of them",
    file: MERGED_LOG,
    from: "if (machine === null) return visible === null ? null : this.machines.idsOf(visible);",
    to: "if (machine === null) return null;",
  },
  {
    name: "events do not wake polls that wait",
    file: HISTORY,
    from: "    for (const event of added) this.#waiters.announce(event);\n    if (added.some(",
    to: "    if (added.some(",
  },
  {
    name: "a script keeps what was forgotten",
    file: EVENT_LOG,
    from: 'this.#sql.exec("DELETE FROM event WHERE ?1 IS NULL OR session = ?1", session);',
    to: "",
  },
  {
    name: "numbers are given twice after a restart",
    file: MERGED_LOG,
    from: "    this.#newest = state.reserved;\n",
    to: "    this.#newest = Math.max(0, state.reserved - 7);\n",
  },
  {
    name: "a session whose question was answered still waits",
    file: "control-api/src/history/session-state.ts",
    from: '    case "permission.resolved":\n',
    to: "",
  },
  {
    name: "a clock that is set back delays the hourly report",
    file: MACHINE,
    from: '    this.ctx.waitUntil(this.#alarm.setNoLater("checkPresence", PRESENCE_CHECK_MS));\n',
    to: "",
  },
  {
    name: "the end of a link that died with its script is not told",
    file: MACHINE,
    from: "if (!this.#link.isOnline) return this.#endUnseen();",
    to: "if (!this.#link.isOnline) return;",
  },
  {
    name: "a hibernating script does not notice that its link has ended",
    file: "machine-template/src/link/link.ts",
    from: "    if (epoch !== null) this.#listener.offline(epoch, this.#sockets.heardMs(socket));\n",
    to: "",
  },
  {
    name: "a script that is renamed reports one page of events before it is deleted",
    file: MACHINE,
    from: "for (let reports = 0; reports < MAX_LAST_REPORTS; reports += 1) if (!(await this.#reporter.send())) return;",
    to: "await this.#reporter.send();",
  },
  {
    name: "a renamed log gives numbers again",
    file: EVENT_LOG,
    from: "this.#newest = position.seq + MOVED_LOG_LEAP;",
    to: "this.#newest = position.seq;",
  },
  {
    name: "a change during a report is not reported",
    file: REPORTER,
    from: "if (hasMore || this.#isStale) this.report();",
    to: "if (hasMore) this.report();",
  },
  {
    name: "facts that change during a report count as reported",
    file: MACHINE,
    from: "this.#record.markReported(told.facts);",
    to: "this.#record.markFacts(true);",
  },
  {
    name: "a failed report is not repeated",
    file: MACHINE,
    from: 'failed: (failures, againInS) => this.#alarm.set("report", againInS * 1000, failures),',
    to: "failed: async () => undefined,",
  },
];

/**
 * The source at `path`, with the bug of this name in it if it is one of this file.
 * @throws Error when there is no such plant, or when the source has changed so that it cannot be planted any more
 */
export function planted(name: string | null, path: string, source: string): string {
  if (name === null) return source;
  const plant = PLANTS.find((one) => one.name === name);
  if (plant === undefined) throw new Error(`there is no plant "${name}"`);
  if (!path.endsWith(`/${plant.file}`)) return source;
  if (source.split(plant.from).length !== 2) throw new Error(`${plant.file} has changed: "${name}" cannot be planted`);
  return source.replace(plant.from, () => plant.to);
}
