import * as z from "zod";
import { readJson, writeJson } from "../../system/json-file.ts";
import { PERMISSION_MODES } from "../permission-mode.ts";

/** Far more than anybody goes back to; the sessions themselves are in Claude Code's files for as long as it keeps them. */
const MAX_ENTRIES = 2_000;

/** What serve was asked for when it made a session, and Claude Code's files do not say. */
const LedgerEntry = z.object({
  session: z.string(),
  cwd: z.string(),
  model: z.string().nullable(),
  permissionMode: z.enum(PERMISSION_MODES),
  createdAtMs: z.number(),
  forkedFrom: z.string().nullable(),
});
export type LedgerEntry = z.infer<typeof LedgerEntry>;

/**
 * The sessions that serve made. Claude Code writes a session's file with its first prompt, so until then this is the
 * only place that knows of it; and a session that is resumed keeps its model and permission mode.
 */
export class Ledger {
  readonly #path: string;
  #entries = new Map<string, LedgerEntry>();
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  async load(): Promise<void> {
    const stored = z.array(LedgerEntry).safeParse((await readJson(this.#path)) ?? []);
    if (!stored.success) throw new Error(`${this.#path} is not readable: ${z.prettifyError(stored.error)}`);
    this.#entries = new Map(stored.data.map((entry) => [entry.session, entry]));
  }

  get(session: string): LedgerEntry | null {
    return this.#entries.get(session) ?? null;
  }

  all(): LedgerEntry[] {
    return [...this.#entries.values()];
  }

  /** Resolves when it is on disk. */
  async add(entry: LedgerEntry): Promise<void> {
    this.#entries.set(entry.session, entry);
    const surplus = this.#entries.size - MAX_ENTRIES;
    for (const session of [...this.#entries.keys()].slice(0, Math.max(0, surplus))) this.#entries.delete(session);
    const earlier = this.#writing;
    this.#writing = (async () => {
      await earlier.catch(() => undefined);
      await writeJson(this.#path, this.all());
    })();
    await this.#writing;
  }
}
