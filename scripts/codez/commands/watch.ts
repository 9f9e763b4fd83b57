import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import * as z from "zod";
import { parseJson } from "#protocol/json.ts";
import { RECONNECT_MAX_MS, RECONNECT_MIN_MS } from "#protocol/limits.ts";
import { printableJson } from "#protocol/printable.ts";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";
import { findOperator } from "../find-operator.ts";
import { messagesOf } from "../watch/event-stream.ts";
import { runForEvent } from "../watch/run-for-event.ts";
import { WatchCursor } from "../watch/watch-cursor.ts";
import type { Context } from "./context.ts";
import { print, tell } from "../../print.ts";

/** How the types of notices begin: about tokens, apps and addresses of the account. */
const NOTICE_PREFIX = "notice.";

type WatchOptions = {
  hub?: string;
  machine?: string;
  session?: string;
  type?: string[];
  cursor?: string;
  exec?: string;
};

const Event = z.looseObject({ type: z.string() });

/**
 * `codez watch`: one line of JSON for each event, and a command for each if one is given. It resumes where it was: an event counts as
 * handled when it was printed and its command has ended, so after a crash the last one may come again, and none is lost.
 */
export function watchCommand({ command, folder }: Context): Command {
  return new Command("watch")
    .description("print events of your machines as they happen, one line of JSON each, and resume where it was")
    .option("--hub <url>", "address of the Operator (default: CODEZ_HUB, or the one set up here)")
    .option("--machine <name>", "only events of this machine")
    .option("--session <handle>", "only events of this session, <machine>/<id>")
    .option("--type <type...>", "only these types; permission.* stands for all that begin so")
    .option("--cursor <file>", "where the position is kept (default: a file for these filters in ~/.codez/watch)")
    .option("--exec <program>", "run this for each event, with the event on its standard input; or: -- program args")
    .action(async (options: WatchOptions) => {
      const { machine, session, type: types = [] } = options;
      const run = command.length > 0 ? command : options.exec === undefined ? null : [options.exec];
      const patterns = types.flatMap((one) => one.split(",")).map((one) => one.trim());
      // Operator filters as well: some events it sends only to those who ask for their type.
      const type = patterns.length > 0 && { type: patterns.toSorted().join(",") };
      // Notices are about the account, and need the right to manage it.
      const need = patterns.some((pattern) => pattern.startsWith(NOTICE_PREFIX)) ? "admin" : "read";
      const query = new URLSearchParams({ ...(machine && { machine }), ...(session && { session }), ...type });
      const isWanted = filterOf(patterns);
      let cursor: WatchCursor | null = null;
      for (let failures = 0; ; failures += 1) {
        const startedMs = Date.now();
        try {
          // Created for each request, because a sign-in expires.
          const operator = await findOperator(options.hub, folder, need);
          cursor ??= new WatchCursor(operator.origin, String(query), options.cursor);
          const body = await operator.stream(`/api/events?${query}`, cursor.read());
          await follow(body, { cursor, isWanted, run });
        } catch (reason) {
          if (!(reason instanceof CodezFailure) || reason.exitCode !== ExitCode.HUB_UNREACHABLE) throw reason;
          tell(`${reason.message} Trying again.`);
        }
        if (Date.now() - startedMs > RECONNECT_MAX_MS) failures = 0;
        await sleep(Math.min(RECONNECT_MAX_MS, RECONNECT_MIN_MS * 2 ** failures) * (0.5 + Math.random() / 2));
      }
    });
}

type Following = {
  readonly cursor: WatchCursor;
  readonly isWanted: (type: string) => boolean;
  readonly run: readonly string[] | null;
};

/** Handles the messages of one connection. */
async function follow(body: ReadableStream<Uint8Array>, { cursor, isWanted, run }: Following): Promise<void> {
  // At the first start a stream begins with recent events. Watching begins after these.
  let isNew = cursor.read() === null;
  for await (const { event, id, data } of messagesOf(body)) {
    if (event === "event" && !isNew) await handle(data, isWanted, run);
    if (event === "gap" && !isNew) tell(`Some events are missing: ${data}`);
    if (event === "end") tell(`Operator ended the stream: ${data}`);
    if (event === "cursor") isNew = false;
    if (id !== undefined && id !== "" && !isNew) cursor.write(id);
  }
}

async function handle(data: string, isWanted: (type: string) => boolean, run: readonly string[] | null): Promise<void> {
  const event = Event.safeParse(parseJson(data));
  if (!event.success || !isWanted(event.data.type)) return;
  const line = printableJson(event.data);
  print(line);
  const failure = run === null ? null : await runForEvent(run, line);
  if (failure !== null) tell(failure);
}

/** Whether a type is one of `patterns`; all are if there are none. An Operator before 0.3 does not filter by type. */
function filterOf(patterns: readonly string[]): (type: string) => boolean {
  if (patterns.length === 0) return () => true;
  return (type) =>
    patterns.some((pattern) => (pattern.endsWith("*") ? type.startsWith(pattern.slice(0, -1)) : type === pattern));
}
