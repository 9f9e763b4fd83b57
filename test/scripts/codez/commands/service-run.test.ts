import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { buildCodez } from "../../../../scripts/build/codez.ts";
import { ExitCode, FINAL_EXIT_CODES } from "../../../../scripts/codez/exit-code.ts";
import { ServeExitCode } from "../../../../scripts/serve/index.ts";
import { HttpServer } from "../../connector/support/http-server.ts";
import { temporaryFolder } from "../../connector/support/temporary-folder.ts";
import { Codez, codez } from "./support/codez.ts";
import { HubStandIn } from "./support/hub-stand-in.ts";

beforeAll(() => buildCodez());

describe.each(["up", "serve"])("codez %s, when serve cannot start", (command) => {
  async function started(config: unknown): Promise<{ code: number | null; err: string }> {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    await codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    writeFileSync(join(home.path, "serve.json"), JSON.stringify(config));
    return await codez(home.path, [command]);
  }

  it("names the wrong setting, and is not restarted by a service manager", async () => {
    const { code, err } = await started({ port: "many" });
    expect(code).toBe(ExitCode.FILE_BROKEN);
    expect(FINAL_EXIT_CODES).toContain(code);
    expect(err).toMatch(/serve\.json.*port/s);
  });

  it("says that the port is taken, and is restarted, because a port may be taken only for a moment", async () => {
    await using other = await HttpServer.start((_, response) => void response.end());
    const { code, err } = await started({ port: Number(other.url.port) });
    expect(code).toBe(ServeExitCode.PORT_TAKEN);
    expect(FINAL_EXIT_CODES).not.toContain(code);
    expect(err).toContain(other.url.port);
    expect(err).toContain("--port");
  });

  it("names the serve that is already running, and is restarted, because that one may end", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    await codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    await using running = new Codez(home.path, ["serve", "--port", "0"], { CLAUDE_CONFIG_DIR: home.path });
    await running.says("claude mcp add");
    const { code, err } = await codez(home.path, [command]);
    expect(code).toBe(ServeExitCode.ALREADY_RUNNING);
    expect(FINAL_EXIT_CODES).not.toContain(code);
    expect(err).toContain(String(running.process.pid));
    expect(err).toContain("codez connect");
  });
});

describe("under launchd, which restarts whatever fails", () => {
  it("a removed machine ends with success, and logs why", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    await codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    hub.machines.clear();
    const { code, err } = await codez(home.path, ["connect", "--launchd"]);
    expect(code).toBe(ExitCode.OK);
    expect(err).toContain("codez setup attic");
  });

  it("a port that is taken is a failure", async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    await using other = await HttpServer.start((_, response) => void response.end());
    await codez(home.path, ["setup", "attic", "--hub", hub.origin]);
    writeFileSync(join(home.path, "serve.json"), JSON.stringify({ port: Number(other.url.port) }));
    expect((await codez(home.path, ["up", "--launchd"])).code).toBe(ServeExitCode.PORT_TAKEN);
  });
});
