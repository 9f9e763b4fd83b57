import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { HookFile } from "../../../scripts/codez/hooks/hook-file.ts";
import type { Profile } from "../../../scripts/codez/profile/profile.ts";
import { ProfileFolder } from "../../../scripts/codez/profile/profile-folder.ts";
import { EventSpool } from "../../../scripts/connector/event-spool.ts";
import { keepSignIn, keptHubs, readSignIn } from "../../../scripts/codez/sign-in/kept-sign-in.ts";
import { findRunning, writeRunning } from "../../../scripts/serve/running-file.ts";
import { readJson, writeJson } from "../../../scripts/system/json-file.ts";
import { Lock } from "../../../scripts/system/lock.ts";

/**
 * Another user of the same computer can reach every folder that its owner left open, such as a home folder with mode 0755. What
 * `codez` writes must be closed by itself. And what it reads must be its owner's: a profile that somebody else had put into an open folder named
 * the command that was then run, a sign-in of theirs made the computer a machine of theirs, and a program of theirs that was said to be
 * `codez serve` answered what sessions in terminals ask.
 */

/** `nobody`, who owns nothing. */
const UID = 65_534;

const PROFILE: Profile = {
  hub: "https://op.example.com",
  name: "attic",
  slug: "attic",
  linkUrl: "wss://op.example.com/m/attic/link",
  mcpUrl: "https://op.example.com/m/attic/mcp",
  token: "opl_secret",
  identity: "identity-of-attic",
  target: { kind: "url", url: "http://127.0.0.1:4097/mcp" },
  events: true,
};

/** Runs a command as another user; the exit code says whether it was allowed. */
function isAllowed(command: string): boolean {
  try {
    execFileSync("setpriv", [`--reuid=${UID}`, `--regid=${UID}`, "--clear-groups", "sh", "-c", command], {
      stdio: "ignore",
    });
    return true;
  } catch {
    return false;
  }
}

function attempt(work: () => void): boolean {
  try {
    work();
    return true;
  } catch {
    return false;
  }
}

/** Only root can become another user, and only where setpriv is there. */
const canBecome = process.getuid?.() === 0 && isAllowed("true");

describe.skipIf(!canBecome)("another user of the computer", () => {
  let root: string;
  let home: string;

  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), "codez-other-user-"));
    chmodSync(root, 0o755);
    // An older or careless setup: the folder was there, and open.
    home = join(root, ".codez");
    mkdirSync(home, { mode: 0o755 });
    mkdirSync(join(home, "machines"), { mode: 0o755 });
    const folder = new ProfileFolder(home);
    folder.write("attic", PROFILE);
    folder.linkKey("attic");
    new EventSpool(folder.file("attic", ".events")).append([{ atMs: 1, type: "t", session: null, data: "private" }]);
    Lock.take(folder.file("attic", ".lock"));
    await writeJson(join(home, "serve", "running.json"), { token: "t" });
    writeFileSync(join(home, "serve.json"), "{}", { mode: 0o600 });
  });

  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it("can enter the home folder, so that the next tests mean something", () => {
    expect(isAllowed(`ls ${home}`)).toBe(true);
  });

  it.each(["attic.json", "attic.key", "attic.events", "attic.lock"])("cannot read machines/%s", (file) => {
    expect(isAllowed(`cat ${home}/machines/${file}`)).toBe(false);
  });

  it.each([
    ["list the machines", "ls {}/machines"],
    ["read the tokens of serve", "cat {}/serve/running.json"],
    ["list serve's files", "ls {}/serve"],
    ["read the policy", "cat {}/serve.json"],
    ["write the policy", "echo '{\"respondPermission\":true}' > {}/serve.json"],
    ["put another policy in its place", "ln -sf /tmp/x {}/serve.json"],
    ["put a key of their own in its place", "rm -f {}/machines/attic.key && touch {}/machines/attic.key"],
    ["take the lock", "ln -s codez:o:1: {}/machines/other.lock"],
    ["add a machine", "touch {}/machines/evil.json"],
    ["add a folder", "mkdir {}/operators"],
    ["end the process that holds the lock", `kill -TERM ${process.pid}`],
    ["read the environment of that process", `cat /proc/${process.pid}/environ`],
    ["read its open files", `ls -l /proc/${process.pid}/fd/0`],
  ])("cannot %s", (_, command) => {
    expect(isAllowed(command.replaceAll("{}", home))).toBe(false);
  });
});

describe.skipIf(!canBecome)("a profile that another user of the computer could have written", () => {
  let root: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "codez-planted-"));
    chmodSync(root, 0o755);
  });

  afterEach(() => rmSync(root, { recursive: true, force: true }));

  /** A folder of profiles with one whose command the other user would like to be run. */
  function planted(): { folder: ProfileFolder; path: string } {
    const folder = new ProfileFolder(root);
    folder.write("attic", {
      ...PROFILE,
      target: { kind: "command", command: "/bin/sh", args: ["-c", "id"], cwd: "/" },
    });
    return { folder, path: folder.file("attic", ".json") };
  }

  it("is used as long as it is in a closed folder, whatever its mode", () => {
    const { folder, path } = planted();
    chmodSync(path, 0o666);
    expect(folder.read("attic")?.name).toBe("attic");
  });

  it.each<[string, (path: string) => void, string]>([
    ["belongs to them", (path) => chownSync(path, UID, UID), "belongs to another user"],
    ["is in a folder of theirs", (path) => chownSync(dirname(path), UID, UID), "belongs to another user"],
    ["is in a folder that they may write", (path) => chmodSync(dirname(path), 0o777), "others may replace it"],
    ["is open to them", (path) => (chmodSync(dirname(path), 0o755), chmodSync(path, 0o666)), "others may write it"],
    [
      "is a link to a file of theirs",
      (path) => {
        renameSync(path, join(root, "theirs"));
        chownSync(join(root, "theirs"), UID, UID);
        symlinkSync(join(root, "theirs"), path);
      },
      "belongs to another user",
    ],
    ["is a pipe", (path) => (rmSync(path), execFileSync("mkfifo", [path])), "not a regular file"],
  ])("is not used if it %s", (_, change, why) => {
    const { folder, path } = planted();
    change(path);
    expect(() => folder.read("attic")).toThrow(why);
  });
});

describe.skipIf(!canBecome).each(["running.json", "sign-in", "sessions.json", "spool", "hooks"])(
  "a %s that another user of the computer could have written",
  (kind) => {
    let root: string;

    beforeEach(() => {
      root = mkdtempSync(join(tmpdir(), "codez-planted-"));
      chmodSync(root, 0o755);
      vi.stubEnv("CODEZ_HOME", root);
    });

    afterEach(() => {
      vi.unstubAllEnvs();
      rmSync(root, { recursive: true, force: true });
    });

    const HUB = "https://op.example.com";

    /** The file, and whether it is used. */
    async function planted(): Promise<{ path: string; isUsed: () => boolean | Promise<boolean> }> {
      if (kind === "running.json") {
        const path = join(root, "serve", "running.json");
        await writeRunning(path, { port: 4097, token: "theirs", mcpToken: "theirs" });
        return { path, isUsed: () => findRunning(path) !== null };
      }
      if (kind === "sessions.json") {
        const path = join(root, "serve", "sessions.json");
        await writeJson(path, []);
        const isUsed = () =>
          readJson(path).then(
            () => true,
            () => false,
          );
        return { path, isUsed };
      }
      if (kind === "spool") {
        mkdirSync(join(root, "machines"), { mode: 0o700 });
        const path = join(root, "machines", "attic.events");
        new EventSpool(path).append([{ atMs: 1, type: "t", session: null, data: "theirs" }]);
        return { path, isUsed: () => attempt(() => void new EventSpool(path)) };
      }
      if (kind === "hooks") {
        const settings = join(root, "settings.json");
        const file = new HookFile(settings, root);
        file.install("codez", 60);
        const after = readFileSync(settings, "utf8");
        const [name = ""] = readdirSync(join(root, "hooks"));
        const path = join(root, "hooks", name);
        writeFileSync(path, JSON.stringify({ path: settings, before: '{"theirs":true}', after }), { mode: 0o600 });
        return { path, isUsed: () => file.remove() && readFileSync(settings, "utf8").includes("theirs") };
      }
      const metadata = { issuer: HUB, authorization_endpoint: `${HUB}/a`, token_endpoint: `${HUB}/t` };
      const tokens = { access_token: "theirs" };
      keepSignIn(HUB, "operator:admin", { metadata, resource: `${HUB}/mcp` }, { clientId: "codez", tokens });
      return {
        path: join(root, "sign-ins", "op.example.com.json"),
        isUsed: () => readSignIn(HUB) !== null || keptHubs().length > 0,
      };
    }

    it("is used as long as it is its owner's", async () => {
      expect(await (await planted()).isUsed()).toBe(true);
    });

    it.each<[string, (path: string) => void]>([
      ["belongs to them", (path) => chownSync(path, UID, UID)],
      ["is in a folder of theirs", (path) => chownSync(dirname(path), UID, UID)],
      ["is in a folder that they may write", (path) => chmodSync(dirname(path), 0o777)],
      ["is open to them", (path) => (chmodSync(dirname(path), 0o755), chmodSync(path, 0o666))],
      ["is a pipe", (path) => (rmSync(path), execFileSync("mkfifo", [path]))],
    ])("is not used if it %s", async (_, change) => {
      const { path, isUsed } = await planted();
      change(path);
      expect(await isUsed()).toBe(false);
    });
  },
);
