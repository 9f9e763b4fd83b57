import * as z from "zod";
import { readJson, writeJson } from "../../system/json-file.ts";
import { PERMISSION_MODES } from "../permission-mode.ts";

/** Far more sessions than anybody resumes. Their history is in Claude Code's files for as long as that keeps them. */
const MAX_ENTRIES = 2_000;

/** What serve was asked for when it created a session, as far as Claude Code's files do not contain it. */
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
 * The sessions that serve created. Claude Code writes a session's file only at its first prompt, so until then this is the only
 * record of it. It also lets a resumed session keep its model and permission mode.
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

  /** Resolves when the entry is on disk. */
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
