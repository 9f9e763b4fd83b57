import type { Batch, FileFacts, ModelPrice, SessionTokens, Store, UsageRow, UsageSum } from "./store.ts";

/** The store for a Node without SQLite. It has the same facts, which are read again at each start, but no full-text index. */
export class MemoryStore implements Store {
  readonly kind = "memory";
  readonly #files = new Map<string, FileFacts>();
  readonly #usage = new Map<string, UsageRow>();
  readonly #prices = new Map<string, number>();

  files(): FileFacts[] {
    return [...this.#files.values()];
  }

  facts(session: string): FileFacts | null {
    const found = this.files().filter((file) => file.isMain && file.session === session);
    return found.sort((a, b) => b.mtimeMs - a.mtimeMs)[0] ?? null;
  }

  sessionsOf(slug: string): FileFacts[] {
    return this.files().filter((file) => file.isMain && file.slug === slug);
  }

  write({ facts, usage, prices }: Batch): void {
    this.#files.set(facts.path, facts);
    for (const row of usage) this.#usage.set(row.id, larger(this.#usage.get(row.id), row));
    for (const { model, usdPerToken } of prices) this.#prices.set(model, usdPerToken);
  }

  forget(path: string): void {
    this.#files.delete(path);
  }

  search(): null {
    return null;
  }

  usage(): UsageSum[] {
    return sums([...this.#usage.values()], (row) => row.day);
  }

  tokensOf(of: { session: string } | { slug: string }): SessionTokens[] {
    const isOf = (row: UsageRow) => ("session" in of ? row.session === of.session : row.slug === of.slug);
    const rows = [...this.#usage.values()].filter(isOf);
    return [...new Set(rows.map((row) => row.session))].flatMap((session) => {
      const own = rows.filter((row) => row.session === session);
      return sums(own, () => "").map(({ model, tokens }) => ({ session, model, tokens }));
    });
  }

  prices(): ModelPrice[] {
    return [...this.#prices].map(([model, usdPerToken]) => ({ model, usdPerToken }));
  }

  close(): void {
    this.#files.clear();
    this.#usage.clear();
  }
}

/** Claude Code writes an answer as several lines, the last of which has the final token counts. */
function larger(known: UsageRow | undefined, row: UsageRow): UsageRow {
  return known === undefined || row.tokens.output >= known.tokens.output ? { ...row, ...identity(known) } : known;
}

/** A fork contains copies of answers. Each answer counts where it was first seen. */
function identity(known: UsageRow | undefined): Partial<UsageRow> {
  return known === undefined ? {} : { session: known.session, slug: known.slug, day: known.day };
}

function sums(rows: readonly UsageRow[], dayOf: (row: UsageRow) => string): UsageSum[] {
  const found = new Map<string, UsageSum>();
  for (const row of rows) {
    const day = dayOf(row);
    const key = JSON.stringify([day, row.slug, row.model]);
    const before = found.get(key)?.tokens ?? { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 };
    const tokens = {
      input: before.input + row.tokens.input,
      output: before.output + row.tokens.output,
      cacheRead: before.cacheRead + row.tokens.cacheRead,
      cacheWrite: before.cacheWrite + row.tokens.cacheWrite,
    };
    found.set(key, { day, slug: row.slug, model: row.model, tokens });
  }
  return [...found.values()];
}
