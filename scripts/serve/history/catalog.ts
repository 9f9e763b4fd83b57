import type { HistoryIndex } from "../search-index/history-index.ts";
import type { SessionFacts } from "../search-index/worker.ts";
import type { PermissionBook } from "../permission/book.ts";
import type { Ledger } from "../session/ledger.ts";
import type { Sessions } from "../session/sessions.ts";
import type { Terminal } from "../session/terminals.ts";
import { readHead } from "./head.ts";
import { listSessionFiles, type SessionFile } from "./session-file.ts";
import { projectSlugOf } from "./project-slug.ts";
import { promptText, readLine } from "./transcript-line.ts";

export interface CatalogOptions {
  readonly folder: string;
  readonly index: HistoryIndex;
  readonly ledger: Ledger;
  readonly permissions: PermissionBook;
  readonly sessions: Sessions;
  readonly terminals: () => Promise<ReadonlyMap<string, Terminal>>;
}

/** The sessions of a project: Claude Code's files, what the index knows of them, and who runs them now. */
export class Catalog {
  readonly #options: CatalogOptions;

  constructor(options: CatalogOptions) {
    this.#options = options;
  }

  /** Newest first. */
  async list(slug: string): Promise<Record<string, unknown>[]> {
    const { folder, index, ledger, sessions } = this.#options;
    const [files, facts, terminals] = await Promise.all([
      listSessionFiles(folder, slug),
      // Without the index the list is still correct, but has fewer details.
      index.askFresh("sessions", { slug }).catch(() => []),
      this.#options.terminals(),
    ]);
    const bySession = new Map(facts.map((one) => [one.file.session, one]));
    const written = new Set(files.map(({ session }) => session));
    const rows = await Promise.all(
      files.map((file) => this.#describe(file.session, file, bySession.get(file.session) ?? null, terminals)),
    );
    const unwritten = ledger.all().filter((made) => projectSlugOf(made.cwd) === slug && !written.has(made.session));
    const live = sessions.all().filter((one) => one.slug === slug && !written.has(one.id));
    for (const session of new Set([...unwritten.map((made) => made.session), ...live.map(({ id }) => id)])) {
      rows.push(await this.#describe(session, null, null, terminals));
    }
    return rows.sort((a, b) => Number(b["updated_at_ms"]) - Number(a["updated_at_ms"]));
  }

  async get(session: string, file: SessionFile | null): Promise<Record<string, unknown>> {
    const facts = await this.#options.index.askFresh("facts", { session }).catch(() => null);
    return this.#describe(session, file, facts, await this.#options.terminals());
  }

  async #describe(
    session: string,
    file: SessionFile | null,
    facts: SessionFacts | null,
    terminals: ReadonlyMap<string, Terminal>,
  ): Promise<Record<string, unknown>> {
    const { ledger, permissions, sessions } = this.#options;
    const live = sessions.live(session);
    const made = ledger.get(session);
    const terminal = terminals.get(session);
    const known = facts?.file ?? null;
    const status = live !== null ? "live" : terminal !== undefined ? "mirror" : "idle";
    const cost = live?.costUsd ?? known?.costUsd ?? null;
    const cwd = live?.cwd ?? made?.cwd ?? known?.cwd ?? null;
    return {
      session_id: session,
      slug: file?.slug ?? live?.slug ?? (made === null ? null : projectSlugOf(made.cwd)),
      title: known?.title ?? (file === null ? null : await firstPrompt(file)),
      status,
      busy: live?.isBusy ?? terminal?.status === "busy",
      cwd,
      branch: known?.branch ?? null,
      model: live?.model ?? known?.model ?? made?.model ?? null,
      created_at_ms: known?.firstAtMs ?? made?.createdAtMs ?? file?.mtimeMs ?? null,
      updated_at_ms: Math.max(live?.lastActiveAtMs ?? 0, known?.lastAtMs ?? file?.mtimeMs ?? made?.createdAtMs ?? 0),
      prompts: known?.prompts ?? null,
      answers: known?.answers ?? null,
      tokens: facts?.tokens ?? null,
      cost_usd: cost ?? facts?.estimateUsd ?? null,
      cost_is_estimate: cost === null && facts?.estimateUsd != null,
      unreadable_lines: known?.unreadableLines ?? null,
      permission_requests: permissions.pending(session).length,
      ...(terminal === undefined || live !== null ? {} : { terminal_pid: terminal.pid }),
      ...(live === null ? {} : { permission_mode: live.permissionMode, queued: live.queued }),
      ...(made?.forkedFrom == null ? {} : { forked_from: made.forkedFrom }),
    };
  }
}

/** The first prompt, which serves as the title until the index has read the file. */
async function firstPrompt(file: SessionFile): Promise<string | null> {
  // Deleted in this moment, so it has no title.
  for (const line of await readHead(file.path).catch(() => [])) {
    const content = readLine(JSON.stringify(line))?.content;
    if (content?.kind !== "message" || content.message.role !== "user" || content.message.isAside) continue;
    const text = promptText(content.message.parts);
    if (text !== null) return text.slice(0, 120);
  }
  return null;
}
