import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { beforeEach, afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { readChanges } from "../../../../scripts/serve/changes/changes.ts";
import { TestRepository } from "./support/repository.ts";

const BEGAN_S = 1_700_000_000;
const SINCE = { sinceMs: BEGAN_S * 1_000 + 500 };

let repository: TestRepository;

beforeEach(() => {
  repository = new TestRepository();
});
afterEach(() => repository[Symbol.dispose]());

describe("what changed", () => {
  test("is what was committed since the session began, what is not committed, and new files", async () => {
    repository.write("committed.txt", "one\n");
    repository.write("edited.txt", "one\ntwo\nthree\n");
    repository.write("removed.txt", "gone\n");
    repository.commit(BEGAN_S - 100);
    repository.write("committed.txt", "one\nand more\n");
    repository.commit(BEGAN_S + 100);
    repository.write("edited.txt", "one\n2\nthree\n");
    repository.write("new/file.txt", "hello\nworld");
    rmSync(join(repository.root, "removed.txt"));
    const { files, commits, fileCount, isIncomplete } = await repository.changes(SINCE);
    expect(files.map(({ path, status, additions, deletions }) => [path, status, additions, deletions])).toEqual([
      ["committed.txt", "modified", 1, 0],
      ["edited.txt", "modified", 1, 1],
      ["removed.txt", "deleted", 0, 1],
      ["new/file.txt", "untracked", 2, 0],
    ]);
    expect(files[1]?.diff).toBe("@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n");
    expect(files[3]?.diff).toBe("@@ -0,0 +1,2 @@\n+hello\n+world\n\\ No newline at end of file\n");
    expect({ commits, fileCount, isIncomplete }).toEqual({ commits: 1, fileCount: 4, isIncomplete: false });
  });

  test("is nothing if nothing changed since, however old the session is", async () => {
    repository.write("a.txt", "a\n");
    repository.commit(BEGAN_S - 100);
    expect(await repository.changes(SINCE)).toMatchObject({ files: [], fileCount: 0, commits: 0 });
  });

  test("is everything in a repository without a commit, and in one whose first commit is younger than the session", async () => {
    repository.write("a.txt", "a\n");
    repository.git("add", "a.txt");
    expect(await repository.changes(SINCE)).toMatchObject({ base: null, files: [{ path: "a.txt", status: "added" }] });
    repository.commit(BEGAN_S + 100);
    expect(await repository.changes(SINCE)).toMatchObject({ base: null, files: [{ path: "a.txt", status: "added" }] });
  });

  test("names a renamed file's former name, a mode that changed, a file that became a link, and shows the marks of a conflict", async () => {
    repository.write("old name.txt", "a long enough text\nto be recognised\nwhen it moves\n");
    repository.write("run.sh", "echo hi\n");
    repository.write("plain.txt", "text\n");
    repository.write("both.txt", "base\n");
    repository.commit(BEGAN_S - 100);
    repository.git("checkout", "--quiet", "-b", "other");
    repository.write("both.txt", "theirs\n");
    repository.commit(BEGAN_S - 90);
    repository.git("checkout", "--quiet", "main");
    repository.write("both.txt", "ours\n");
    repository.commit(BEGAN_S - 80);
    expect(() => repository.git("merge", "other")).toThrow();
    repository.git("mv", "old name.txt", "new name.txt");
    chmodSync(join(repository.root, "run.sh"), 0o755);
    rmSync(join(repository.root, "plain.txt"));
    symlinkSync("/etc/passwd", join(repository.root, "plain.txt"));
    const { files } = await repository.changes();
    expect(new Map(files.map((file) => [file.path, file]))).toEqual(
      new Map<string, unknown>([
        ["both.txt", expect.objectContaining({ status: "modified", diff: expect.stringContaining("+<<<<<<<") })],
        ["new name.txt", expect.objectContaining({ status: "renamed", oldPath: "old name.txt" })],
        [
          "plain.txt",
          expect.objectContaining({ status: "type_changed", diff: expect.stringContaining("+/etc/passwd") }),
        ],
        ["run.sh", expect.objectContaining({ status: "modified", modes: ["100644", "100755"], diff: null })],
      ]),
    );
    expect(files.find(({ path }) => path === "plain.txt")?.diff).not.toContain("root:");
  });

  test("shows no bytes of binary files, and does not follow new links", async () => {
    repository.write("image.png", new Uint8Array([0x89, 0x50, 0, 1, 2]));
    repository.commit(BEGAN_S - 100);
    repository.write("image.png", new Uint8Array([0x89, 0x50, 0, 3, 4]));
    repository.write("new.bin", new Uint8Array([0, 1, 2]));
    repository.write(".gitignore", "secret.txt\n");
    repository.write("secret.txt", "hunter2");
    symlinkSync("secret.txt", join(repository.root, "link.txt"));
    symlinkSync(".git/config", join(repository.root, "config.txt"));
    execFileSync("mkfifo", [join(repository.root, "pipe")]);
    const { files } = await repository.changes();
    const byPath = Object.fromEntries(files.map(({ path, diff, isBinary }) => [path, [diff, isBinary]]));
    expect(byPath).toEqual({
      "image.png": [null, true],
      "new.bin": [null, true],
      ".gitignore": ["@@ -0,0 +1,1 @@\n+secret.txt\n", false],
      "link.txt": [null, false],
      "config.txt": [null, false],
    });
  });

  test("keeps the diffs of files apart whatever their names and contents look like", async () => {
    const names = [
      "diff --git a/x b/x",
      "line\nbreak",
      'quote"s',
      "tab\t",
      "\u202eemordnilap",
      "-rf",
      ":(glob)*",
      "dir with space/ü",
    ];
    for (const name of names) repository.write(name, "old\n");
    repository.commit(BEGAN_S - 100);
    for (const name of names)
      repository.write(name, `diff --git a/fake b/fake\n@@ -1 +1 @@\n--- ${names.indexOf(name)}\n`);
    const { files } = await repository.changes();
    expect(files.map(({ path }) => path).toSorted()).toEqual(names.toSorted());
    for (const { path, diff } of files) expect(diff, path).toContain(`+--- ${names.indexOf(path)}\n`);
  });
});

describe("limits", () => {
  test("cut a long diff at its end and say by how much; asked for alone the file is whole", async () => {
    const long = Array.from({ length: 3_000 }, (_, line) => `line ${line} with some words in it\n`).join("");
    repository.write("long.txt", "short\n");
    repository.write("small.txt", "a\n");
    repository.commit(BEGAN_S - 100);
    repository.write("long.txt", long);
    repository.write("small.txt", "b\n");
    repository.write("untracked.txt", long);
    const [tracked, small, untracked] = (await repository.changes()).files;
    expect(tracked?.diff?.length).toBeLessThan(17 * 1024);
    expect(tracked?.cutBytes).toBeGreaterThan(50_000);
    expect(small).toMatchObject({ path: "small.txt", cutBytes: 0 });
    expect(untracked?.cutBytes).toBe(long.length - 16 * 1024);
    for (const name of ["long.txt", "untracked.txt"]) {
      const alone = await repository.file(name, { path: name });
      expect(alone.cutBytes, name).toBe(0);
      expect(alone.diff, name).toContain("+line 2999 with");
    }
    expect((await repository.changes({ path: "long.txt" })).files).toHaveLength(1);
  });

  test("list files without their diffs when all diffs together are too large, and count the files that are not listed", async () => {
    const text = Array.from({ length: 400 }, (_, line) => `line ${line} with some words in it\n`).join("");
    repository.write("a.txt", "a");
    repository.commit(BEGAN_S - 100);
    for (let file = 0; file < 350; file += 1) repository.write(`many/${String(file).padStart(3, "0")}.txt`, text);
    const { files, fileCount, isIncomplete } = await repository.changes();
    expect(files).toHaveLength(300);
    expect({ fileCount, isIncomplete }).toEqual({ fileCount: 350, isIncomplete: true });
    expect(files[0]?.diff).not.toBeNull();
    expect(files[299]).toMatchObject({ diff: null });
    expect(files.reduce((sum, { diff }) => sum + (diff?.length ?? 0), 0)).toBeLessThan(257 * 1024);
  });

  test("of one huge line keep memory and answer small", async () => {
    repository.write("a.txt", "a");
    repository.commit(BEGAN_S - 100);
    repository.write("a.txt", "é".repeat(1_500_000));
    const file = await repository.file("a.txt");
    expect(file.diff?.length).toBeLessThan(17 * 1024);
    expect(file.diff).not.toContain("\ufffd");
    expect(file.cutBytes).toBeGreaterThan(2_900_000);
  });

  test("end git when the caller hangs up", async () => {
    repository.write("a.txt", "a");
    repository.commit(BEGAN_S - 100);
    const gone = AbortSignal.abort();
    await expect(
      readChanges({ folder: repository.root, sinceMs: null, path: null, home: repository.codez, signal: gone }),
    ).rejects.toMatchObject({
      error: { code: "git_failed" },
    });
  });
});

describe("a hostile repository", () => {
  test("runs no program that its configuration names: monitor, hooks, diff drivers, filters, transports, submodules", async () => {
    const marks = join(repository.home, "marks");
    mkdirSync(marks);
    const program = (name: string): string => {
      const path = join(repository.home, `${name}.sh`);
      writeFileSync(path, `#!/bin/sh\ntouch ${marks}/${name}\ncat\n`, { mode: 0o755 });
      return path;
    };
    repository.write("a.txt", "one\n");
    repository.write("sub/inner.txt", "one\n");
    repository.write(".gitattributes", "* diff=evil filter=evil\n*.two diff=two filter=a=b.c\n");
    repository.write("b.two", "one\n");
    repository.commit(BEGAN_S - 100);
    const inner = join(repository.root, "module");
    execFileSync("git", ["init", "--quiet", inner]);
    repository.git("-C", inner, "commit", "--quiet", "--allow-empty", "-m", "inner");
    repository.git("add", "module");
    repository.commit(BEGAN_S - 90);
    const evil = {
      "core.fsmonitor": program("fsmonitor"),
      "core.hooksPath": join(repository.home, "hooks"),
      "diff.external": program("external"),
      "diff.evil.command": program("driver"),
      "diff.two.textconv": program("textconv"),
      "filter.evil.clean": program("clean"),
      "filter.evil.required": "true",
      "filter.a=b.c.process": program("process"),
      "core.pager": program("pager"),
      "core.sshCommand": program("ssh"),
      "core.worktree": repository.home,
    };
    for (const [name, value] of Object.entries(evil)) repository.git("config", name, value);
    execFileSync("git", ["-C", inner, "config", "core.fsmonitor", program("submodule")]);
    mkdirSync(join(repository.home, "hooks"));
    for (const hook of ["post-index-change", "pre-commit"])
      writeFileSync(join(repository.home, "hooks", hook), `#!/bin/sh\ntouch ${marks}/${hook}\n`, { mode: 0o755 });
    repository.write("a.txt", "two\n");
    repository.write("b.two", "two\n");
    repository.write("module/untracked.txt", "x");
    writeFileSync(join(repository.home, "outside.txt"), "not yours");
    // With `git lfs install` its owner's own configuration has a filter, which any repository's attributes can use.
    writeFileSync(join(repository.home, ".gitconfig"), `[filter "evil"]\n\tclean = ${program("owner")}\n`);
    vi.stubEnv("HOME", repository.home);
    onTestFinished(() => void vi.unstubAllEnvs());
    const { files } = await repository.changes();
    expect(files.map(({ path, diff }) => [path, diff])).toEqual([
      ["a.txt", "@@ -1 +1 @@\n-one\n+two\n"],
      ["b.two", "@@ -1 +1 @@\n-one\n+two\n"],
    ]);
    expect(execFileSync("ls", [marks], { encoding: "utf8" })).toBe("");
    expect(existsSync(join(repository.root, ".git", "index.lock"))).toBe(false);
  });

  test("runs no filter that is configured while git is being asked", async () => {
    const mark = join(repository.home, "ran");
    repository.write("a.txt", "one\n");
    repository.write(".gitattributes", "* filter=evil\n");
    repository.commit(BEGAN_S - 100);
    repository.write("a.txt", "two\n");
    // In the place of git. It configures the filter in the last moment before git compares.
    const real = execFileSync("which", ["git"], { encoding: "utf8" }).trim();
    const bin = join(repository.home, "bin");
    mkdirSync(bin);
    const config = join(repository.root, ".git", "config");
    const filter = `[filter "evil"]\\n\\tclean = touch ${mark}; cat\\n\\trequired\\n`;
    writeFileSync(
      join(bin, "git"),
      `#!/bin/sh\ncase " $* " in *" diff "*) printf '${filter}' >> ${config};; esac\nexec ${real} "$@"\n`,
      { mode: 0o755 },
    );
    vi.stubEnv("PATH", `${bin}:${process.env["PATH"]}`);
    onTestFinished(() => void vi.unstubAllEnvs());
    expect((await repository.file("a.txt")).diff).toBe("@@ -1 +1 @@\n-one\n+two\n");
    expect(repository.git("config", "filter.evil.clean")).toContain(mark);
    expect(existsSync(mark)).toBe(false);
  });

  test("reads a repository with ids of SHA-256", async () => {
    rmSync(join(repository.root, ".git"), { recursive: true });
    repository.git("init", "--quiet", "--object-format=sha256");
    repository.write("a.txt", "one\n");
    repository.commit(BEGAN_S - 100);
    repository.write("a.txt", "two\n");
    expect((await repository.file("a.txt")).diff).toBe("@@ -1 +1 @@\n-one\n+two\n");
  });

  test.each<[string, (repository: TestRepository) => void]>([
    ["an index in two files", (one) => void one.git("update-index", "--split-index")],
    [
      "line ends that are converted",
      (one) => (one.git("config", "core.autocrlf", "true"), void one.write("b.txt", "one\r\n")),
    ],
    ["packed branches", (one) => void one.git("pack-refs", "--all")],
    [
      "folders that are left out, also of its index",
      (one) => {
        one.write("left/out/c.txt", "c\n");
        one.commit(BEGAN_S - 90);
        one.git("sparse-checkout", "set", "--cone", "--sparse-index");
      },
    ],
  ])("reads a repository with %s", async (_, change) => {
    repository.write("a.txt", "one\n");
    repository.write("b.txt", "one\n");
    repository.commit(BEGAN_S - 100);
    change(repository);
    repository.write("a.txt", "two\n");
    expect((await repository.changes()).files).toMatchObject([{ path: "a.txt", diff: "@@ -1 +1 @@\n-one\n+two\n" }]);
  });

  test("is the one of the folder, whatever git's variables in serve's environment say", async () => {
    repository.write("a.txt", "one\n");
    repository.commit(BEGAN_S - 100);
    repository.write("a.txt", "two\n");
    onTestFinished(() => void vi.unstubAllEnvs());
    vi.stubEnv("GIT_DIR", join(repository.home, "nowhere"));
    expect(await repository.file("a.txt")).toMatchObject({ path: "a.txt" });
  });

  test("fetches nothing: an object that is missing in a partial clone is a failure", async () => {
    const mark = join(repository.home, "fetched");
    repository.write("a.txt", "one\n");
    repository.commit(BEGAN_S - 100);
    const blob = repository.git("rev-parse", "HEAD:a.txt").trim();
    rmSync(join(repository.root, ".git", "objects", blob.slice(0, 2), blob.slice(2)));
    for (const [name, value] of Object.entries({
      "core.repositoryFormatVersion": "1",
      "extensions.partialClone": "origin",
      "remote.origin.promisor": "true",
      "remote.origin.url": `ext::touch ${mark}`,
      "protocol.ext.allow": "always",
    }))
      repository.git("config", name, value);
    repository.write("a.txt", "two\n");
    await expect(repository.changes()).rejects.toMatchObject({ error: { code: "git_failed" } });
    expect(existsSync(mark)).toBe(false);
  });

  test("cannot show another repository: a pointer to one that does not point back makes no repository", async () => {
    repository.write("private.txt", "one\n");
    repository.commit(BEGAN_S - 100);
    const project = join(repository.home, "project");
    mkdirSync(project);
    writeFileSync(join(project, ".git"), `gitdir: ${join(repository.root, ".git")}\n`);
    const asked = { sinceMs: null, path: null, home: repository.codez, signal: new AbortController().signal };
    expect(await readChanges({ folder: project, ...asked })).toBeNull();
    // This one points back, but to another place.
    repository.git("worktree", "add", "--quiet", join(repository.home, "tree"));
    writeFileSync(join(project, ".git"), `gitdir: ${join(repository.root, ".git", "worktrees", "tree")}\n`);
    expect(await readChanges({ folder: project, ...asked })).toBeNull();
    rmSync(join(project, ".git"));
    symlinkSync(join(repository.root, ".git"), join(project, ".git"));
    expect(await readChanges({ folder: project, ...asked })).toBeNull();
    // Git takes the second line for a part of the path, and follows it.
    rmSync(join(project, ".git"));
    mkdirSync(join(project, "own\nfolder"));
    mkdirSync(join(project, "own"));
    writeFileSync(join(project, "own", "gitdir"), "../.git\n");
    writeFileSync(
      join(project, ".git"),
      `gitdir: own\nfolder/../../../${relative(repository.home, repository.root)}/.git\n`,
    );
    expect(await readChanges({ folder: project, ...asked })).toBeNull();
  });

  const replaced: [string, (path: string) => void][] = [
    // Reading it would block one of Node's four file threads for ever.
    ["a pipe", (path) => execFileSync("mkfifo", [path])],
    // It could lead to a device, which has no end.
    ["a link", (path) => symlinkSync("back", path)],
    ["a file of megabytes", (path) => writeFileSync(path, `../.git${"\n".repeat(1_000_000)}`)],
  ];

  test.each(replaced)("does not point back by %s", async (_, make) => {
    const project = join(repository.home, "project");
    mkdirSync(join(project, "own"), { recursive: true });
    writeFileSync(join(project, "own", "back"), "../.git\n");
    make(join(project, "own", "gitdir"));
    writeFileSync(join(project, ".git"), "gitdir: own\n");
    const asked = {
      folder: project,
      sinceMs: null,
      path: null,
      home: repository.codez,
      signal: new AbortController().signal,
    };
    expect(await readChanges(asked)).toBeNull();
  });

  const takes: [string, (project: string, git: string, head: string) => void][] = [
    [
      "a folder that it has in common with another",
      (project, git) => writeFileSync(join(project, ".git", "commondir"), `${git}\n`),
    ],
    [
      "such a folder of a worktree that it made itself",
      (project, git) => {
        renameSync(join(project, ".git"), join(project, "own"));
        writeFileSync(join(project, "own", "commondir"), `${git}\n`);
        writeFileSync(join(project, "own", "gitdir"), "../.git\n");
        writeFileSync(join(project, ".git"), "gitdir: own\n");
      },
    ],
    [
      "such a folder of a worktree that looks like git's own",
      (project, git) => {
        const own = join(project, "own", "worktrees", "one");
        mkdirSync(join(project, "own", "objects"), { recursive: true });
        mkdirSync(join(project, "own", "worktrees"));
        renameSync(join(project, ".git"), own);
        writeFileSync(join(own, "commondir"), `${git}\n`);
        writeFileSync(join(own, "gitdir"), "../../../.git\n");
        writeFileSync(join(project, ".git"), "gitdir: own/worktrees/one\n");
      },
    ],
    [
      "alternates",
      (project, git, head) => {
        writeFileSync(join(project, ".git", "objects", "info", "alternates"), `${join(git, "objects")}\n`);
        writeFileSync(join(project, ".git", "HEAD"), head);
      },
    ],
    [
      "alternates in other letters, which some file systems take for the same",
      (project, git) => {
        writeFileSync(join(project, ".git", "objects", "info", "ALTERNATES"), `${join(git, "objects")}\n`);
      },
    ],
    [
      "a link to its objects",
      (project, git, head) => {
        rmSync(join(project, ".git", "objects"), { recursive: true });
        symlinkSync(join(git, "objects"), join(project, ".git", "objects"));
        writeFileSync(join(project, ".git", "HEAD"), head);
      },
    ],
    [
      "links to some of its objects",
      (project, git, head) => {
        for (const name of readdirSync(join(git, "objects")).filter((one) => one.length === 2))
          symlinkSync(join(git, "objects", name), join(project, ".git", "objects", name));
        writeFileSync(join(project, ".git", "HEAD"), head);
      },
    ],
  ];

  async function refused(folder: string): Promise<void> {
    await expect(repository.changes({ folder })).rejects.toMatchObject({
      error: { code: "git_failed", detail: expect.stringContaining("takes its objects from outside") },
    });
  }

  test.each(takes)("cannot show another repository through %s", async (_, take) => {
    repository.write("private.txt", "one\n");
    repository.commit(BEGAN_S - 100);
    const project = join(repository.home, "project");
    execFileSync("git", ["init", "--quiet", "--initial-branch=main", project]);
    take(project, join(repository.root, ".git"), repository.git("rev-parse", "HEAD"));
    await refused(project);
  });

  test("cannot show the repository that they stand in as if they were one of its worktrees", async () => {
    repository.write("private.txt", "one\n");
    repository.commit(BEGAN_S - 100);
    const project = join(repository.root, ".git", "worktrees");
    execFileSync("git", ["init", "--quiet", "--initial-branch=main", project]);
    writeFileSync(join(project, ".git", "commondir"), "../..\n");
    await refused(project);
  });
});

describe("where a session works", () => {
  test("may be a folder in the repository: tracked files are shown of all of it, new files of that folder", async () => {
    repository.write("tracked.txt", "one\n");
    repository.write("packages/a/tracked.txt", "one\n");
    repository.commit(BEGAN_S - 100);
    repository.write("tracked.txt", "two\n");
    repository.write("packages/a/new.txt", "new\n");
    repository.write("elsewhere.txt", "not of this session\n");
    const { files } = await repository.changes({ folder: join(repository.root, "packages", "a") });
    expect(files.map(({ path }) => path)).toEqual(["tracked.txt", "packages/a/new.txt"]);
  });

  test("may be a worktree, also after it was asked through a link", async () => {
    repository.write("a.txt", "one\n");
    repository.commit(BEGAN_S - 100);
    const tree = join(repository.home, "tree");
    repository.git("worktree", "add", "--quiet", tree);
    writeFileSync(join(tree, "a.txt"), "two\n");
    const link = join(repository.home, "link");
    symlinkSync(tree, link);
    const found = await repository.changes({ folder: link });
    expect(found).toMatchObject({ root: tree, files: [{ path: "a.txt", additions: 1, deletions: 1 }] });
  });

  test("may be a submodule", async () => {
    const outer = new TestRepository();
    try {
      repository.write("a.txt", "one\n");
      repository.commit(BEGAN_S - 100);
      outer.git("submodule", "--quiet", "add", repository.root, "inner");
      writeFileSync(join(outer.root, "inner", "a.txt"), "two\n");
      expect(await outer.changes({ folder: join(outer.root, "inner") })).toMatchObject({
        root: join(outer.root, "inner"),
        files: [{ path: "a.txt" }],
      });
    } finally {
      outer[Symbol.dispose]();
    }
  });

  test("may be in no repository, and a broken one does not open the one above it", async () => {
    const asked = { sinceMs: null, path: null, home: repository.codez, signal: new AbortController().signal };
    expect(await readChanges({ folder: repository.home, ...asked })).toBeNull();
    const inner = join(repository.root, "inner");
    mkdirSync(join(inner, ".git"), { recursive: true });
    await expect(readChanges({ folder: inner, ...asked })).rejects.toMatchObject({ error: { code: "git_failed" } });
    renameSync(join(inner, ".git"), join(inner, "git"));
    expect(await readChanges({ folder: inner, ...asked })).toMatchObject({ root: repository.root });
  });
});
