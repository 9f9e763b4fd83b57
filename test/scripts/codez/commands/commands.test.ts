import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { PROTOCOL_VERSION } from "#protocol/limits.ts";
import { LINK_TOKEN_LIFE_MS, makeLinkToken } from "#protocol/link-token.ts";
import { buildCodez } from "../../../../scripts/build/codez.ts";
import { ExitCode } from "../../../../scripts/codez/exit-code.ts";
import { asTyped } from "../../../../scripts/codez/invocation.ts";
import { HttpServer } from "../../connector/support/http-server.ts";
import { temporaryFolder } from "../../connector/support/temporary-folder.ts";
import { Codez, codez } from "./support/codez.ts";
import { HubStandIn } from "./support/hub-stand-in.ts";

beforeAll(() => buildCodez());

function profileOf(home: string, name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(home, "machines", `${name}.json`), "utf8"));
}

describe("every command", () => {
  it("is refused if others may write to a folder above codez's own, and says what to do", async () => {
    using home = temporaryFolder();
    const path = join(home.path, "shared", "codez");
    mkdirSync(path, { recursive: true });
    chmodSync(home.path, 0o755);
    chmodSync(join(home.path, "shared"), 0o777);
    for (const args of [["status"], ["serve"], ["tokens", "list"], ["hooks", "install"]]) {
      const { code, err } = await codez(path, args);
      expect({ code, err }).toEqual({
        code: ExitCode.FILE_BROKEN,
        err: expect.stringContaining(`(chmod go-w ${join(home.path, "shared")})`),
      });
    }
    expect((await codez(path, ["--version"])).code).toBe(ExitCode.OK);
  });

  it("writes files that its owner can use, with a umask that takes that away", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    const before = process.umask(0o777);
    const setup = new Codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    process.umask(before);
    expect((await setup.ended()).code).toBe(ExitCode.OK);
    const made = readdirSync(home.path, { recursive: true, withFileTypes: true });
    expect(made.map(({ name }) => name)).toContain("attic.json");
    for (const entry of made) {
      const mode = statSync(join(entry.parentPath, entry.name)).mode & 0o777;
      expect([entry.name, mode]).toEqual([entry.name, entry.isFile() ? 0o600 : 0o700]);
    }
  });
});

describe("setup", () => {
  it("adds this computer, proves from outside that it is online, and never shows the token", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    const { code, out, err } = await codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    expect({ code, err }).toEqual({ code: ExitCode.OK, err: "" });
    expect(out).toContain('"attic" is online');
    expect(out).toContain("codez connect");
    expect(out).not.toContain("link-token");
    expect(profileOf(home.path, "attic")).toMatchObject({
      token: "link-token-1",
      target: { url: "http://127.0.0.1:4097/mcp" },
    });
    expect(statSync(join(home.path, "machines", "attic.json")).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(home.path, "machines"))).toEqual(["attic.json", "attic.key"]);
  });

  it("changes only a different target when it is run again, also without a name", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    await codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    const before = profileOf(home.path, "attic");
    expect((await codez(home.path, ["setup"])).code).toBe(ExitCode.OK);
    expect(profileOf(home.path, "attic")).toEqual(before);
    const { code, out } = await codez(home.path, ["setup", "--json", "--", "node", "server.js", "--json"]);
    expect(code).toBe(ExitCode.OK);
    const target = { kind: "command", command: "node", args: ["server.js", "--json"], cwd: process.cwd() };
    expect(JSON.parse(out)).toMatchObject({ machine: "attic", status: "online", target });
    expect(profileOf(home.path, "attic")).toEqual({ ...before, target });
  });

  it("replaces a rejected token, and registers a removed machine again", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    await codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    const machine = hub.machines.get("attic");
    if (machine === undefined) throw new Error("no machine");
    machine.token = "rotated-elsewhere";
    expect((await codez(home.path, ["setup"])).code).toBe(ExitCode.OK);
    expect(profileOf(home.path, "attic")["token"]).toBe(machine.token);
    hub.machines.clear();
    expect((await codez(home.path, ["setup"])).code).toBe(ExitCode.OK);
    expect(profileOf(home.path, "attic")["identity"]).toBe(hub.machines.get("attic")?.identity);
  });

  it("says what to do when another machine has the name, and takes it over on request", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    hub.add("attic");
    const refused = await codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    expect(refused.code).toBe(ExitCode.NAME_TAKEN);
    expect(refused.err).toContain("--replace");
    expect((await codez(home.path, ["setup", "attic", "--hub", hub.origin, "--replace"])).code).toBe(ExitCode.OK);
  });

  describe("that ended before it had the answer", () => {
    async function lost(home: string, hub: HubStandIn): Promise<{ identity: string | undefined; key: string }> {
      hub.losesAnswers = true;
      expect((await codez(home, ["setup", "attic", "--hub", hub.origin])).code).toBe(ExitCode.HUB_UNREACHABLE);
      hub.losesAnswers = false;
      return { identity: hub.machines.get("attic")?.identity, key: keyOf(home) };
    }

    const keyOf = (home: string): string => readFileSync(join(home, "machines", "attic.key"), "utf8");

    it("can be repeated", async () => {
      using home = temporaryFolder();
      await using hub = await HubStandIn.start();
      const { identity, key } = await lost(home.path, hub);
      const { code, err } = await codez(home.path, ["setup", "attic", "--hub", hub.origin]);
      expect({ code, err }).toEqual({ code: ExitCode.OK, err: "" });
      expect([profileOf(home.path, "attic")["identity"], keyOf(home.path)]).toEqual([identity, key]);
      expect(readdirSync(join(home.path, "machines"))).toEqual(["attic.json", "attic.key"]);
    });

    it("leaves nothing that another Operator gets", async () => {
      using home = temporaryFolder();
      await using hub = await HubStandIn.start();
      await using other = await HubStandIn.start();
      const { identity, key } = await lost(home.path, hub);
      expect((await codez(home.path, ["setup", "attic", "--hub", other.origin])).code).toBe(ExitCode.OK);
      expect(other.machines.get("attic")?.identity).not.toBe(identity);
      expect(keyOf(home.path)).not.toBe(key);
    });
  });

  it("waits until the public endpoint shows the machine online", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    hub.lists = false;
    await using running = new Codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    await running.says("opening the link");
    hub.lists = true;
    expect((await running.ended()).code).toBe(ExitCode.OK);
  });

  it.each([
    ["nobody is there", "http://127.0.0.1:9", ExitCode.HUB_UNREACHABLE],
    ["the address is invalid", "operator", ExitCode.USAGE],
    ["its token could be read on the way there", "http://operator.example.com", ExitCode.USAGE],
  ])("says so when %s", async (_, hub, code) => {
    using home = temporaryFolder();
    const ended = await codez(home.path, ["setup", "attic", "--hub", hub]);
    expect(ended.code).toBe(code);
    expect(ended.err).toContain("fix: ");
  });

  it("acts as the person of CODEZ_HUB_TOKEN, and says so when that is not signed in", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    hub.bearer = "opr_1";
    expect((await codez(home.path, ["setup", "attic", "--hub", hub.origin])).code).toBe(ExitCode.NOT_SIGNED_IN);
    const signedIn = await codez(home.path, ["setup", "attic"], { CODEZ_HUB: hub.origin, CODEZ_HUB_TOKEN: "opr_1" });
    expect(signedIn.code).toBe(ExitCode.OK);
    expect(JSON.stringify(profileOf(home.path, "attic"))).not.toContain("opr_1");
  });

  it.each(["Attic Room", "mcp", "a--b", "../x"])("refuses %j as a name", async (name) => {
    using home = temporaryFolder();
    expect((await codez(home.path, ["setup", name, "--hub", "http://127.0.0.1:9"])).code).toBe(ExitCode.USAGE);
  });
});

describe("connect", () => {
  it("relays to the configured server, keeps the link when that is gone, and ends on SIGTERM", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    await codez(home.path, ["setup", "attic", "--hub", hub.origin, "--url", "http://127.0.0.1:9/mcp"]);
    await using running = new Codez(home.path, ["connect"]);
    await running.says("online");
    await running.says("no answer from http://127.0.0.1:9/mcp");
    expect(hub.machines.get("attic")?.socket).not.toBeNull();
    running.process.kill("SIGTERM");
    expect((await running.ended()).code).toBe(ExitCode.OK);
    expect(readdirSync(join(home.path, "machines")).sort()).toEqual(["attic.events", "attic.json", "attic.key"]);
  });

  it("says to run setup if that was not done", async () => {
    using home = temporaryFolder();
    const { code, err } = await codez(home.path, ["connect"]);
    expect(code).toBe(ExitCode.NOT_SET_UP);
    expect(err).toContain("codez setup");
  });

  it("runs once per machine on a computer: a second one says so, and setup uses the first", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    await codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    await using running = new Codez(home.path, ["connect", "--json"]);
    await running.says('"online"');
    const second = await codez(home.path, ["connect", "--json"]);
    expect(second.code).toBe(ExitCode.ALREADY_CONNECTED);
    expect(JSON.parse(second.out)).toMatchObject({ error: { code: "already_connected", fix: expect.any(String) } });
    expect((await codez(home.path, ["setup"])).code).toBe(ExitCode.OK);
    expect(running.process.exitCode).toBeNull();
  });

  it("exits with its own code when another connector takes over", async () => {
    using home = temporaryFolder();
    using other = temporaryFolder();
    await using hub = await HubStandIn.start();
    await codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    await using first = new Codez(home.path, ["connect"]);
    await first.says("online");
    mkdirSync(join(other.path, "machines"));
    copyFileSync(join(home.path, "machines", "attic.json"), join(other.path, "machines", "attic.json"));
    await using _second = new Codez(other.path, ["connect"]);
    const ended = await first.ended();
    expect(ended.code).toBe(ExitCode.REPLACED);
    expect(ended.err).toContain("fix: ");
  });

  it("uses a renewed or rotated token and a new name without a restart, says that it had no key, and stops when the machine is removed", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    await codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    const key = join(home.path, "machines", "attic.key");
    rmSync(key);
    await using running = new Codez(home.path, ["connect"]);
    await running.says("online");
    await expect.poll(() => running.err).toContain(`There was no link key in ${key}, so one was made`);
    const { token: formerToken } = profileOf(home.path, "attic");
    const token = await makeLinkToken("secret", Date.now() + LINK_TOKEN_LIFE_MS);
    hub.machines.get("attic")?.socket?.send(JSON.stringify({ type: "token", token }));
    await expect.poll(() => profileOf(home.path, "attic")).toMatchObject({ token, formerToken });
    expect(statSync(join(home.path, "machines", "attic.json")).mode & 0o777).toBe(0o600);
    expect((await codez(home.path, ["rotate"])).code).toBe(ExitCode.OK);
    // Whoever rotates a token wants no earlier one to be used again.
    expect(profileOf(home.path, "attic")["formerToken"]).toBeUndefined();
    await running.says("online", 2);
    expect((await codez(home.path, ["rename", "attic", "loft"])).code).toBe(ExitCode.OK);
    await running.says('online: "loft"');
    expect((await codez(home.path, ["status"])).code).toBe(ExitCode.OK);
    expect((await codez(home.path, ["remove", "loft", "--yes"])).code).toBe(ExitCode.OK);
    const ended = await running.ended();
    expect([ExitCode.REVOKED, ExitCode.NOT_SET_UP]).toContain(ended.code);
    expect(ended.err).toContain("codez setup");
  });

  it("serves a stdio command after --", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    await codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    const server = new URL("../../connector/stdio/support/raw-server.ts", import.meta.url).pathname;
    await using running = new Codez(home.path, ["connect", "--", process.execPath, server]);
    await running.says("serving raw 1");
  });
});

describe("an Operator of another protocol", () => {
  it.each([
    ["older", PROTOCOL_VERSION - 1, "newer than its Operator"],
    ["newer", PROTOCOL_VERSION + 1, "older than its Operator"],
  ])(
    "that is %s makes setup and connect say which of the two is too old, and to run its own codez",
    async (_, protocol, text) => {
      using home = temporaryFolder();
      await using hub = await HubStandIn.start();
      hub.protocol = protocol;
      for (const args of [["setup", "attic", "--hub", hub.origin], ["connect"]]) {
        const { code, err } = await codez(home.path, args);
        expect(code).toBe(ExitCode.TOO_OLD);
        expect(err).toContain(text);
        expect(err).toContain(`npx -y ${hub.origin}/codez.tgz`);
      }
    },
  );
});

describe("machines and status", () => {
  it("list what exists, for people and for programs", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    expect((await codez(home.path, ["machines", "--hub", hub.origin])).out).toContain("codez setup");
    hub.add("cellar");
    await codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    const { code, out } = await codez(home.path, ["machines"]);
    expect(code).toBe(ExitCode.OK);
    expect(out.split("\n").map((line) => line.split(/ +/)[0])).toEqual(["NAME", "cellar", "attic", ""]);
    expect(JSON.parse((await codez(home.path, ["machines", "--json"])).out).machines).toHaveLength(2);
    const status = await codez(home.path, ["status", "--json"]);
    expect(status.code).toBe(ExitCode.NOT_ONLINE);
    expect(JSON.parse(status.out)).toMatchObject({ name: "attic", status: "offline", connector: null });
    expect(status.out).not.toContain("link-token");
  });

  it("need no sign-in for this machine's own status, because its link token suffices", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    await codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    hub.bearer = "opr_1";
    const { code, out, err } = await codez(home.path, ["status", "--json"]);
    expect([code, err]).toEqual([ExitCode.NOT_ONLINE, ""]);
    expect(JSON.parse(out)).toMatchObject({ name: "attic", status: "offline", hub: hub.origin });
    expect(out).not.toContain("link-token");
  });

  it("report whether the machine's own MCP server answers, and so does setup", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    const server = new URL("../../connector/stdio/support/raw-server.ts", import.meta.url).pathname;
    const down = await codez(home.path, ["setup", "attic", "--hub", hub.origin, "--url", "http://127.0.0.1:9/mcp"]);
    expect([down.code, down.out]).toEqual([ExitCode.OK, expect.stringMatching(/does not answer: .*\n.*codez status/)]);
    await using running = new Codez(home.path, ["connect"]);
    await running.says("no answer from http://127.0.0.1:9/mcp");
    const status = await codez(home.path, ["status"]);
    expect([status.code, status.out]).toEqual([ExitCode.OK, expect.stringContaining("its MCP server is down")]);
    await hub.knows("attic", (facts) => facts.server === "down");
    expect((await codez(home.path, ["machines"])).out).toMatch(/^attic +server down /m);
    const up = await codez(home.path, ["setup", "--", process.execPath, server]);
    expect(up.out).toContain("answers: raw 1");
    expect((await codez(home.path, ["status"])).out).toMatch(/^status +online$/m);
  });

  it("say so when the machine no longer exists in Operator", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    await codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    hub.machines.clear();
    expect((await codez(home.path, ["status"])).code).toBe(ExitCode.REVOKED);
    expect((await codez(home.path, ["remove", "attic", "--yes"])).code).toBe(ExitCode.OK);
    expect((await codez(home.path, ["remove", "attic", "--yes", "--hub", hub.origin])).code).toBe(
      ExitCode.MACHINE_UNKNOWN,
    );
  });
});

describe("remove", () => {
  it("removes nothing without a question, unless it was told to", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    await codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    for (const more of [[], ["--json"]]) {
      const { code, out, err } = await codez(home.path, ["remove", "attic", ...more]);
      expect([code, out + err]).toEqual([ExitCode.NOT_SIGNED_IN, expect.stringContaining("codez remove attic --yes")]);
    }
    expect([...hub.machines.keys()]).toEqual(["attic"]);
    expect((await codez(home.path, ["remove", "attic", "--yes"])).code).toBe(ExitCode.OK);
    expect(readdirSync(join(home.path, "machines"))).toEqual([]);
  });
});

describe("forget", () => {
  it("deletes the history of a machine, or of a session by its handle, after a question", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    const refused = await codez(home.path, ["forget", "attic/s1", "--hub", hub.origin]);
    expect([refused.code, refused.err]).toEqual([
      ExitCode.NOT_SIGNED_IN,
      expect.stringContaining("codez forget attic/s1 --yes"),
    ]);
    expect(hub.asked.filter((asked) => asked.includes("history"))).toEqual([]);
    const { code, out } = await codez(home.path, ["forget", "attic/s1", "--yes", "--hub", hub.origin]);
    expect([code, out]).toEqual([ExitCode.OK, expect.stringContaining("events: 3, sessions: 1")]);
    await codez(home.path, ["forget", "attic", "--yes", "--hub", hub.origin]);
    expect(hub.asked.filter((asked) => asked.includes("history"))).toEqual([
      "DELETE /api/history?machine=attic&session=s1",
      "DELETE /api/history?machine=attic",
    ]);
  });
});

describe("retention", () => {
  it("shows what applies, says what a change deletes before it makes it, and leaves what was not named", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    const run = (...args: string[]) => codez(home.path, ["retention", ...args, "--hub", hub.origin]);
    expect(await run()).toMatchObject({ code: ExitCode.OK, out: expect.stringContaining("30 days, at most 250000") });
    const refused = await run("--days", "7");
    expect(refused).toMatchObject({ code: ExitCode.NOT_SIGNED_IN, out: "" });
    expect(refused.err).toContain("deletes 230 of 500 events");
    expect(refused.err).toContain("codez retention --days 7 --rows 250000 --yes");
    expect(hub.retention).toEqual({ days: 30, events: 250_000 });
    expect((await run("--days", "7", "--yes")).out).toContain("Deleted: 230 events");
    expect(hub.retention).toEqual({ days: 7, events: 250_000 });
    // What deletes nothing needs no question.
    const more = await run("--days", "90", "--rows", "5000", "--json");
    expect(JSON.parse(more.out)).toMatchObject({ days: 90, events: 5_000, deleted: 0 });
  });

  it("says what is wrong with a number, and changes nothing", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    const run = (...args: string[]) => codez(home.path, ["retention", ...args, "--hub", hub.origin]);
    expect((await run("--days", "366", "--yes")).err).toContain("days from 1 to 365");
    expect(await run("--days", "soon")).toMatchObject({
      code: ExitCode.USAGE,
      err: expect.stringContaining("whole number"),
    });
    expect(hub.asked.filter((asked) => asked.startsWith("PUT"))).toEqual([]);
  });
});

describe("hooks install", () => {
  it("for Codex writes a hook with a minute of time, and says that Codex wants it trusted first", async () => {
    using home = temporaryFolder();
    const env = { CODEX_HOME: join(home.path, "codex"), HOME: home.path };
    const { code, out } = await codez(home.path, ["hooks", "install", "--codex"], env);
    expect({ code, out }).toEqual({ code: ExitCode.OK, out: expect.stringMatching(/type \/hooks.*trust it/) });
    const file = join(home.path, "codex", "hooks.json");
    expect(JSON.parse(readFileSync(file, "utf8")).hooks.PermissionRequest).toEqual([
      { hooks: [{ type: "command", command: expect.stringMatching(/hooks answer$/), timeout: 60 }] },
    ]);
    expect((await codez(home.path, ["hooks", "uninstall", "--codex"], env)).code).toBe(ExitCode.OK);
    expect(existsSync(file)).toBe(false);
  });
});

describe("codez", () => {
  it("shows its usage, and reports wrong usage", async () => {
    using home = temporaryFolder();
    const help = await codez(home.path, ["--help"]);
    expect(help.code).toBe(ExitCode.OK);
    const names = [...help.out.matchAll(/^ {2}([a-z]+)(?: \[| <| {2})/gm)].flatMap(([, name]) => name ?? []);
    expect(names).toEqual(expect.arrayContaining(["setup", "connect", "up", "forget", "restore", "uninstall"]));
    // Each of them is written as its reader has to type it.
    for (const name of [...names.filter((one) => one !== "help"), "--help", "tokens create --help"])
      expect([name, asTyped(`codez ${name}`, "npx codez")]).toEqual([name, `npx codez ${name}`]);
    const unknown = await codez(home.path, ["launch"]);
    expect([unknown.code, unknown.err]).toEqual([ExitCode.USAGE, expect.stringMatching(/fix: .*codez --help\n/)]);
    expect((await codez(home.path, ["setup", "--nope"])).code).toBe(ExitCode.USAGE);
    expect((await codez(home.path, ["service", "install", "--nope"])).code).toBe(ExitCode.USAGE);
    expect((await codez(home.path, ["--version"])).out).toMatch(/^\d+\.\d+\.\d+-[0-9a-f]{8}\n$/);
  });

  it("says which name to take when a machine cannot have the one that it should get", async () => {
    using home = temporaryFolder();
    const { code, err } = await codez(home.path, ["rename", "attic", "My Laptop"]);
    expect([code, err]).toEqual([ExitCode.USAGE, expect.stringMatching(/fix: .*codez rename attic my-laptop\n/)]);
  });

  it("refuses a damaged profile", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    await codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    writeFileSync(join(home.path, "machines", "attic.json"), "{}");
    const { code, err } = await codez(home.path, ["connect"]);
    expect(code).toBe(ExitCode.FILE_BROKEN);
    expect(err).toContain("attic.json");
  });

  it("never follows a redirect with its token", async () => {
    using home = temporaryFolder();
    await using other = await HttpServer.start((_, response) => void response.end("{}"));
    await using hub = await HttpServer.start(
      (_, response) => void response.writeHead(302, { location: other.url.href }).end(),
    );
    const { code } = await codez(home.path, ["machines", "--hub", hub.url.origin], { CODEZ_HUB_TOKEN: "opr_1" });
    expect(code).toBe(ExitCode.HUB_UNREACHABLE);
    expect(other.requests).toHaveLength(0);
  });
});
