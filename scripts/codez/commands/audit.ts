import { Command } from "commander";
import * as z from "zod";
import { printableJson } from "#protocol/printable.ts";
import { isoTime } from "#protocol/iso-time.ts";
import { findOperator } from "../find-operator.ts";
import { countIn } from "./argument.ts";
import { type Context, outputOf, withHub } from "./context.ts";
import { tableOf } from "./table.ts";
import { print } from "../../print.ts";

const Entry = z.object({
  id: z.number(),
  atMs: z.number(),
  kind: z.string(),
  client: z.string(),
  machine: z.string().nullable(),
  subject: z.string().nullable(),
  digest: z.string().nullable(),
  outcome: z.string(),
  durationMs: z.number().nullable(),
});
type Entry = z.infer<typeof Entry>;
const Page = z.object({ entries: z.array(Entry) });

/** Entries per request. */
const PAGE = 1_000;
const DEFAULT_ENTRIES = 50;

type Options = { hub?: string; json?: boolean; limit: number; jsonl?: boolean };

/** `codez audit`: who did what with which client, newest first. */
export function auditCommand({ folder }: Context): Command {
  return withHub(new Command("audit").description("show what was done in your name, newest first"))
    .option("--limit <entries>", "how many entries", countIn, DEFAULT_ENTRIES)
    .option("--jsonl", "print the whole log, one JSON entry per line")
    .action(async (options: Options) => {
      const operator = await findOperator(options.hub, folder);
      const read = async (before: number | null, limit: number): Promise<Entry[]> =>
        (await operator.read(Page, "GET", `/api/audit?limit=${limit}${before === null ? "" : `&before=${before}`}`))
          .entries;
      const most = options.jsonl === true ? Number.POSITIVE_INFINITY : options.limit;
      const entries: Entry[] = [];
      let before: number | null = null;
      for (let left = most; left > 0;) {
        const size = Math.min(left, PAGE);
        const page: Entry[] = await read(before, size);
        for (const entry of page)
          if (options.jsonl === true) print(printableJson(entry));
          else entries.push(entry);
        if (page.length < size) break;
        before = page.at(-1)?.id ?? null;
        left -= page.length;
      }
      if (options.jsonl !== true) outputOf(options).result({ entries }, textOf(entries));
    });
}

function textOf(entries: readonly Entry[]): string[] {
  if (entries.length === 0) return ["Nothing yet."];
  const rows = entries.map(({ atMs, kind, client, machine, subject, outcome, durationMs }) => [
    isoTime(atMs),
    kind.replaceAll("_", " "),
    client,
    machine ?? "-",
    subject ?? "-",
    outcome,
    durationMs === null ? "-" : `${durationMs} ms`,
  ]);
  return tableOf([["TIME", "WHAT", "CLIENT", "MACHINE", "ABOUT", "OUTCOME", "TOOK"], ...rows]);
}
