// Root cause: files that others had written were opened by their path, so a link led to any file of the owner's, and a
// named pipe or a device in their place was waited for or read without end.
import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openRegularFile, readRegularFile } from "../../../scripts/system/regular-file.ts";
import { TestMachine, type Answer, type TestClient } from "../../scripts/serve/support/machine.ts";

const SECRET = "PRIVATE-KEY-OF-THE-OWNER";
const SESSION = "11111111-2222-4333-8444-555555555555";

/** Repositories are made before the first look for them, which is kept for a while. */
const MAX_CASES = 20;

let machine: TestMachine;
let client: TestClient;
let key: string;

beforeAll(async () => {
  // The strictest policy: no folder may be driven.
  const repos = Array.from({ length: MAX_CASES }, (_, index) => `case-${index + 1}`);
  machine = await TestMachine.start({ config: { readOnly: true, drive: [] }, repos });
  mkdirSync(join(machine.home, ".ssh"));
  key = join(machine.home, ".ssh", "id");
  writeFileSync(key, SECRET);
  client = await machine.connect();
});
afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await machine[Symbol.asyncDispose]();
});

/** A repository of its own for each case, so that none hides another. */
let number = 0;
function project(): { folder: string; slug: string; history: string } {
  const name = `case-${(number += 1)}`;
  const slug = machine.slug(name);
  const history = join(machine.home, ".claude", "projects", slug);
  mkdirSync(history, { recursive: true });
  return { folder: machine.repo(name), slug, history };
}

async function memory(slug: string): Promise<Answer[]> {
  return (await client.call("get_project_memory", { slug }))["files"] as Answer[];
}

describe("get_project_memory", () => {
  test.each([
    {
      name: "CLAUDE.md that is a link to a key",
      make: (folder: string) => symlinkSync(key, join(folder, "CLAUDE.md")),
    },
    {
      name: "a link to a link",
      make: (folder: string) => {
        symlinkSync(key, join(folder, "notes"));
        symlinkSync("notes", join(folder, "CLAUDE.md"));
      },
    },
    {
      name: ".claude that is a link to another folder",
      make: (folder: string) => {
        writeFileSync(join(machine.home, ".ssh", "CLAUDE.md"), SECRET);
        symlinkSync(join(machine.home, ".ssh"), join(folder, ".claude"));
      },
    },
    {
      name: "a link to the process's own environment",
      make: (folder: string) => symlinkSync("/proc/self/environ", join(folder, "CLAUDE.md")),
    },
    { name: "an endless device", make: (folder: string) => symlinkSync("/dev/zero", join(folder, "CLAUDE.md")) },
    { name: "a folder", make: (folder: string) => mkdirSync(join(folder, "CLAUDE.md")) },
    { name: "a named pipe", make: (folder: string) => execFileSync("mkfifo", [join(folder, "CLAUDE.md")]) },
  ])("refuses $name and says so", async ({ make }) => {
    const { folder, slug } = project();
    make(folder);
    const files = await memory(slug);
    expect(files).toEqual([expect.objectContaining({ not_read: expect.stringContaining("regular files") })]);
    expect(JSON.stringify(files)).not.toContain(SECRET);
  });

  test("reads a link that stays inside the project, and a large file up to a limit", async () => {
    const { folder, slug } = project();
    writeFileSync(join(folder, "AGENTS.md"), "what agents should know");
    symlinkSync("AGENTS.md", join(folder, "CLAUDE.md"));
    writeFileSync(join(folder, "CLAUDE.local.md"), "x".repeat(3_000_000));
    const [first, second] = await memory(slug);
    expect(first).toMatchObject({ name: "CLAUDE.md", text: "what agents should know" });
    expect(String(second?.["text"]).length).toBe(65_536);
    expect(second).toMatchObject({ total_bytes: 3_000_000 });
  });

  test("does not follow a memory folder that is a link", async () => {
    const { slug, history } = project();
    writeFileSync(join(machine.home, ".ssh", "note.md"), SECRET);
    symlinkSync(join(machine.home, ".ssh"), join(history, "memory"));
    expect(await memory(slug)).toEqual([]);
  });

  test.each(["../../.ssh", "..", ".", "a/b", "/etc", "\0", "-\u2215etc"])(
    "refuses the project name %j",
    async (slug) => {
      expect(await client.refused("get_project_memory", { slug })).toMatchObject({ code: "project_unknown" });
    },
  );

  test("refuses an empty project name", async () => {
    expect(await client.refused("get_project_memory", { slug: "" })).toMatchObject({ code: "arguments_invalid" });
  });
});

test("a file of any size is read up to a limit, and takes no more memory than that", async () => {
  const path = join(machine.home, "large");
  writeFileSync(path, "words");
  truncateSync(path, 2 ** 40); // without a disk of that size: nothing is written in between
  expect(await readRegularFile(path, 5)).toEqual({ text: "words", isCut: true, bytes: 2 ** 40 });
});

test("pipes and devices in a repository's .git do not block", async () => {
  for (const file of ["HEAD", "config", "commondir"]) {
    const { folder } = project();
    rmSync(join(folder, ".git", file), { force: true });
    execFileSync("mkfifo", [join(folder, ".git", file)]);
  }
  const { folder: endless } = project();
  rmSync(join(endless, ".git", "HEAD"));
  symlinkSync("/dev/zero", join(endless, ".git", "HEAD"));
  const { folder: pointer } = project();
  renameSync(join(pointer, ".git"), join(pointer, "git-before"));
  execFileSync("mkfifo", [join(pointer, ".git")]);
  for (let times = 0; times < 3; times += 1) {
    expect(JSON.stringify(await client.call("list_projects"))).toContain("case-1");
  }
});

describe("a session's file", () => {
  const line = JSON.stringify({ type: "user", message: { role: "user", content: SECRET }, uuid: "u", sessionId: "s" });

  test("that is a link is ignored: not listed, read, searched, or indexed", async () => {
    const { slug, history } = project();
    const outside = join(machine.home, ".ssh", "history");
    writeFileSync(outside, `${line}\n`);
    symlinkSync(outside, join(history, `${SESSION}.jsonl`));
    mkdirSync(join(history, SESSION));
    mkdirSync(join(machine.home, "elsewhere"));
    writeFileSync(join(machine.home, "elsewhere", "agent-x.jsonl"), `${line}\n`);
    symlinkSync(join(machine.home, "elsewhere"), join(history, SESSION, "subagents"));
    const listed = await client.call("list_sessions", { slug });
    const found = await client.call("search_sessions", { query: SECRET });
    expect(listed["sessions"]).toEqual([]);
    expect(found["sessions"]).toEqual([]);
    expect(await client.refused("get_session", { session_id: SESSION })).toMatchObject({ code: "session_unknown" });
  });

  test("that was replaced by a link after it was listed is not opened", async () => {
    const { history } = project();
    const path = join(history, `${SESSION}.jsonl`);
    symlinkSync(key, path);
    await expect(openRegularFile(path)).rejects.toThrow("is a link");
  });

  test("that is a pipe does not block", async () => {
    const { slug, history } = project();
    execFileSync("mkfifo", [join(history, `${SESSION}.jsonl`)]);
    mkdirSync(join(machine.home, ".claude", "sessions"), { recursive: true });
    execFileSync("mkfifo", [join(machine.home, ".claude", "sessions", "1.json")]);
    for (let times = 0; times < 5; times += 1) {
      expect((await client.call("list_sessions", { slug }))["sessions"]).toEqual([]);
    }
    expect(await client.call("search_sessions", { query: "anything" })).toMatchObject({ sessions: [] });
  });
});
