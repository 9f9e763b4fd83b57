import { lstat, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { openRegularFile } from "../../system/regular-file.ts";
import { someAtOnce } from "#protocol/some-at-once.ts";
import { isSessionId, listSlugs } from "../history/session-file.ts";
import { emptyFacts, ingest, type Added, type FileId } from "./ingest.ts";
import type { FileFacts, Store } from "./store.ts";

/** Files that were written within this time are checked every second, because somebody is working in them. */
const HOT_MS = 10 * 60_000;

/** Files that are looked at at the same time. Node asks the system about four at once, and keeps the others in memory. */
const FILES_AT_ONCE = 64;

/** Files that cannot be read and are told of, of a history in which none can. */
const MAX_PROBLEMS = 20;

export interface Progress {
  readonly filesBehind: number;
  readonly bytesBehind: number;
  readonly files: number;
  /** Whether every file has been read to its end at least once since the start. */
  readonly isComplete: boolean;
  /** Files that cannot be read, each with the reason. */
  readonly problems: readonly string[];
}

interface Seen extends FileId {
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

export interface Growth {
  readonly session: string;
  readonly slug: string;
  readonly path: string;
  readonly isNew: boolean;
  /** As far as its file tells: the first folder in it, and the last model. */
  readonly cwd: string | null;
  readonly model: string | null;
  readonly added: readonly Added[];
}

/**
 * Keeps a store up to date with Claude Code's history files, newest first.
 *
 * Files are compared by size instead of being watched: file watchers have system-wide limits, miss events on network file
 * systems, and report nothing about the time before the start. History files only grow, so reading continues where it stopped
 * last time. A file that has shrunk was rewritten and is read from the start.
 */
export class Follower {
  readonly #folder: string;
  readonly #store: Store;
  readonly #onGrowth: (growth: Growth) => void;
  readonly #facts = new Map<string, FileFacts>();
  /** The size of each file at the start. Messages beyond it are new and are reported as events. */
  readonly #baseline = new Map<string, number>();
  /**
   * The size of each file when it was last read. Modification times are not enough: with a resolution of one second they hide
   * the second of two writes.
   */
  readonly #sizes = new Map<string, number>();
  readonly #problems = new Map<string, string>();
  #seen = new Map<string, Seen>();
  /** The modification time of each folder, which changes when a file is added. */
  #folders = new Map<string, number>();
  #isPrimed = false;
  #isComplete = false;
  #sweeping: Promise<void> | null = null;
  #last: Promise<void> = Promise.resolve();

  constructor(folder: string, store: Store, onGrowth: (growth: Growth) => void) {
    this.#folder = folder;
    this.#store = store;
    this.#onGrowth = onGrowth;
    for (const facts of store.files()) this.#facts.set(facts.path, facts);
  }

  progress(): Progress {
    const behind = this.#behind();
    const bytesBehind = behind.reduce(
      (sum, file) => sum + file.sizeBytes - (this.#facts.get(file.path)?.offset ?? 0),
      0,
    );
    const all = [...this.#problems.values()];
    const more = all.length - MAX_PROBLEMS;
    const problems = more <= 0 ? all : [...all.slice(0, MAX_PROBLEMS), `and ${more} other files`];
    return { filesBehind: behind.length, bytesBehind, files: this.#seen.size, isComplete: this.#isComplete, problems };
  }

  /** Checks all files and reads what is new in them. Only one sweep runs at a time; a second caller waits for the same one. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#inTurn(() => this.#sweep()).finally(() => (this.#sweeping = null));
    return this.#sweeping;
  }

  /** A file is read from where its last read stopped, so two reads at once would both add what is new in it. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work, work);
    this.#last = done;
    return done;
  }

  /** Checks only the files in which somebody is working, and looks for new files. */
  async glance(): Promise<void> {
    if (this.#sweeping === null && this.#isPrimed) await this.#inTurn(() => this.#glance());
  }

  async #glance(): Promise<void> {
    if (await this.#hasNewFiles()) return this.#sweep();
    const sinceMs = Date.now() - HOT_MS;
    for (const file of this.#seen.values()) {
      if (file.mtimeMs < sinceMs) continue;
      const now = await look(file);
      if (now === null || (now.mtimeMs === file.mtimeMs && now.sizeBytes === file.sizeBytes)) continue;
      this.#seen.set(file.path, now);
      await this.#read(now);
    }
  }

  async #hasNewFiles(): Promise<boolean> {
    const now = await listFolders(this.#folder);
    const isSame = now.size === this.#folders.size && [...now].every(([path, at]) => this.#folders.get(path) === at);
    return !isSame;
  }

  async #sweep(): Promise<void> {
    this.#folders = await listFolders(this.#folder);
    this.#seen = new Map((await listFiles(this.#folder)).map((file) => [file.path, file]));
    if (!this.#isPrimed) {
      for (const file of this.#seen.values()) this.#baseline.set(file.path, file.sizeBytes);
      this.#isPrimed = true;
    }
    for (const path of this.#facts.keys()) {
      if (!this.#seen.has(path)) this.#forget(path);
    }
    for (const file of this.#behind()) await this.#read(file);
    this.#isComplete = true;
  }

  #behind(): Seen[] {
    const behind = [...this.#seen.values()].filter(({ path, mtimeMs, sizeBytes }) => {
      const facts = this.#facts.get(path);
      return facts?.mtimeMs !== mtimeMs || (this.#sizes.get(path) ?? facts.offset) !== sizeBytes;
    });
    return behind.sort((a, b) => b.mtimeMs - a.mtimeMs);
  }

  async #read(file: Seen): Promise<void> {
    const known = this.#facts.get(file.path);
    // Shorter than before: the file was rewritten, so everything known about it is discarded.
    if (known !== undefined && known.offset > file.sizeBytes) this.#forget(file.path);
    const { path, session, slug, isMain } = file;
    let facts = this.#facts.get(path) ?? emptyFacts({ path, session, slug, isMain });
    try {
      const handle = await openRegularFile(path);
      try {
        for await (const { batch, added } of ingest(handle, facts, file.mtimeMs)) {
          this.#store.write(batch);
          facts = batch.facts;
          this.#facts.set(path, facts);
          this.#tell(file, facts, added);
        }
      } finally {
        await handle.close();
      }
      this.#problems.delete(path);
    } catch (error) {
      this.#problems.set(path, `${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
    // Also if nothing was read (an incomplete line, no access). The file is checked again when it changes.
    this.#facts.set(path, { ...facts, mtimeMs: file.mtimeMs });
    this.#sizes.set(path, file.sizeBytes);
  }

  #tell({ path, session, slug, isMain }: Seen, { cwd, model }: FileFacts, added: readonly Added[]): void {
    const baseline = this.#baseline.get(path);
    const news = added.filter(({ offset }) => offset >= (baseline ?? 0));
    if (!isMain || news.length === 0) return;
    this.#onGrowth({ session, slug, path, isNew: baseline === undefined, cwd, model, added: news });
    this.#baseline.set(path, baseline ?? 0);
  }

  #forget(path: string): void {
    this.#store.forget(path);
    this.#sizes.delete(path);
    this.#facts.delete(path);
    this.#baseline.delete(path);
    this.#problems.delete(path);
  }
}

async function listFolders(folder: string): Promise<Map<string, number>> {
  const paths = (await listSlugs(folder)).map((slug) => join(folder, slug));
  const found = await Promise.all(paths.map((path) => stat(path).catch(() => null)));
  return new Map(paths.map((path, index) => [path, found[index]?.mtimeMs ?? 0]));
}

async function listFiles(folder: string): Promise<Seen[]> {
  const found: Seen[] = [];
  for (const slug of await listSlugs(folder)) {
    const files: FileId[] = [];
    // The project was deleted in the meantime.
    for (const entry of await readdir(join(folder, slug), { withFileTypes: true }).catch(() => [])) {
      const path = join(folder, slug, entry.name);
      if (entry.isDirectory() && isSessionId(entry.name))
        for (const aside of await asides(path, slug, entry.name)) files.push(aside);
      const session = entry.name.endsWith(".jsonl") ? entry.name.slice(0, -".jsonl".length) : "";
      if (!entry.isDirectory() && isSessionId(session)) files.push({ path, session, slug, isMain: true });
    }
    for (const file of await someAtOnce(files, FILES_AT_ONCE, look)) if (file !== null) found.push(file);
  }
  return found;
}

/** Files of a session's subagents. */
async function asides(folder: string, slug: string, session: string): Promise<FileId[]> {
  const below = join(folder, "subagents");
  // Most sessions have none. Claude Code never creates a link here.
  const names = (await lstat(below).catch(() => null))?.isDirectory() === true ? await readdir(below) : [];
  return names
    .filter((name) => name.endsWith(".jsonl"))
    .map((name) => ({ path: join(below, name), session, slug, isMain: false }));
}

async function look({ path, session, slug, isMain }: FileId): Promise<Seen | null> {
  // Deleted since the listing, or a link, which is not a session: see history/session-file.ts.
  const found = await lstat(path).catch(() => null);
  if (found === null || !found.isFile()) return null;
  return { path, session, slug, isMain, sizeBytes: found.size, mtimeMs: found.mtimeMs };
}
