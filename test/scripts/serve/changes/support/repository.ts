import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Changes, type FileChanges, readChanges } from "../../../../../scripts/serve/changes/changes.ts";

/** A git repository in a folder of its own, with commits at times of the test's choice. */
export class TestRepository implements Disposable {
  /** The folder that everything of the test is in. */
  readonly home = realpathSync(mkdtempSync(join(tmpdir(), "changes-")));
  readonly root = join(this.home, "repo");
  /** For the files of `codez serve`. */
  readonly codez = join(this.home, "codez");

  constructor() {
    mkdirSync(this.root);
    this.git("init", "--quiet", "--initial-branch=main");
  }

  git(...args: string[]): string {
    const identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "protocol.file.allow=always"];
    return execFileSync("git", [...identity, ...args], { cwd: this.root, encoding: "utf8", stdio: "pipe" });
  }

  write(name: string, content: string | Uint8Array): string {
    const path = join(this.root, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return path;
  }

  /** Commits all that there is, at a time in seconds since 1970. */
  commit(atS: number): void {
    this.git("add", "--all");
    const at = `@${atS} +0000`;
    execFileSync(
      "git",
      ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "commit", "--quiet", "--allow-empty", "-m", "work"],
      { cwd: this.root, env: { ...process.env, GIT_AUTHOR_DATE: at, GIT_COMMITTER_DATE: at } },
    );
  }

  async changes(query: { folder?: string; sinceMs?: number | null; path?: string } = {}): Promise<Changes> {
    const { folder = this.root, sinceMs = null, path = null } = query;
    const found = await readChanges({ folder, sinceMs, path, home: this.codez, signal: new AbortController().signal });
    if (found === null) throw new Error("no repository was found");
    return found;
  }

  async file(name: string, query: { sinceMs?: number; path?: string } = {}): Promise<FileChanges> {
    const { files } = await this.changes(query);
    const file = files.find(({ path }) => path === name);
    if (file === undefined) throw new Error(`${name} is not among ${files.map(({ path }) => path).join(", ")}`);
    return file;
  }

  [Symbol.dispose](): void {
    rmSync(this.home, { recursive: true, force: true });
  }
}
