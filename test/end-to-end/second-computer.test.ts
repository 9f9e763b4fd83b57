import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { sameCompileCache } from "../support/compile-cache.ts";
import "./support/bundles.ts";
import { canMakeComputers, type Computer, type Ended, Network, type Program } from "./support/computer.ts";

/** The computer's own, without this repository. */
const NPX = "/usr/bin/npx";

const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url));
const START = join(REPOSITORY, "scripts/local/start.ts");
const OPERATOR = join(REPOSITORY, "scripts/operator/bin.js");
const CODEZ = join(REPOSITORY, "scripts/codez/bin.js");
const SERVER = join(REPOSITORY, "test/scripts/connector/stdio/support/raw-server.ts");

function hasNpx(): boolean {
  return existsSync(NPX) && Number(/^v(\d+)/.exec(execFileSync("/usr/bin/node", ["--version"]).toString())?.[1]) >= 20;
}

const HOST = "operator.example.com";
const ORIGIN = `https://${HOST}`;
const PASSWORD = "correct horse battery";

/**
 * An Operator on a box of one's own, a laptop and a headless box that reach it over the network and by its name alone. Its
 * certificate is signed by an authority that the other computers were told to trust.
 */
describe.skipIf(!canMakeComputers())("an Operator on another computer", () => {
  let network: Network;
  let server: Computer;
  let laptop: Computer;
  let operator: Program;
  let ca: string;
  let cookies: string;

  beforeAll(async () => {
    network = new Network({ [HOST]: "10.77.0.1" });
    server = network.add("server", "10.77.0.1");
    laptop = network.add("laptop", "10.77.0.2");
    cookies = join(laptop.home, "cookies");
    ca = join(server.home, "cert.pem");
    const key = join(server.home, "key.pem");
    const kind = ["-days", "2", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    const name = ["-subj", `/CN=${HOST}`, "-addext", `subjectAltName=DNS:${HOST}`];
    execFileSync("openssl", ["req", "-x509", "-keyout", key, "-out", ca, ...kind, ...name], { stdio: "ignore" });
    const tls = ["--public-url", ORIGIN, "--tls-cert", ca, "--tls-key", key];
    operator = server.start(process.execPath, [START, ...tls], {
      OPERATOR_STATE: join(server.home, "state"),
      OPERATOR_BUNDLES: inject("bundles"),
      ...sameCompileCache(),
    });
    await operator.says(/Operator is running/, 120_000);
  });

  afterAll(() => network[Symbol.asyncDispose]());

  /** The answer that curl gets on a computer, with its headers on request. */
  function curl(on: Computer, ...args: string[]): Promise<Ended> {
    return on.run("curl", ["-sS", "--max-time", "30", "--cacert", ca, ...args]);
  }

  function codez(on: Computer, ...args: string[]): Program {
    return on.start(process.execPath, [CODEZ, ...args], {
      NODE_EXTRA_CA_CERTS: ca,
      CODEZ_HUB: ORIGIN,
      CODEZ_SIGN_IN: "device",
    });
  }

  /** A person's browser on the laptop, as far as forms go. */
  async function post(path: string, form: Record<string, string>): Promise<Ended> {
    const fields = Object.entries(form).flatMap(([name, value]) => ["--data-urlencode", `${name}=${value}`]);
    const page = ["-b", cookies, "-c", cookies, "-H", `Origin: ${ORIGIN}`, "-H", "Sec-Fetch-Site: same-origin"];
    return curl(laptop, ...page, "-o", "/dev/null", "-w", "%{http_code}", ...fields, `${ORIGIN}${path}`);
  }

  it("trusts no caller for being on the same computer, whatever its address", async () => {
    const wanted = ["-o", "/dev/null", "-w", "%{http_code}"];
    expect((await curl(server, ...wanted, `${ORIGIN}/api/machines`)).output).toBe("401");
    const resolved = ["--resolve", `${HOST}:443:127.0.0.1`];
    expect((await curl(server, ...wanted, ...resolved, `${ORIGIN}/api/machines`)).output).toBe("401");
    expect((await curl(server, ...wanted, "-k", "https://127.0.0.1/api/machines")).output).toBe("400");
  });

  it("reports no problem at first, and reports one that occurs", async () => {
    const state = join(server.home, "state");
    const doctor = (env: Record<string, string>) =>
      server.start(process.execPath, [OPERATOR, "doctor"], { OPERATOR_STATE: state, ...env }).ended;
    const well = await doctor({ NODE_EXTRA_CA_CERTS: ca });
    expect(well.output).toMatch(/ok +Operator runs at https:\/\/operator\.example\.com \(process \d+\)/);
    expect(well.output).toMatch(/ok +other computers can reach port 443, and no other/);
    expect(well.output).toMatch(/ok +operator\.example\.com is 10\.77\.0\.1/);
    expect(well.output).toMatch(/ok +https:\/\/operator\.example\.com\/mcp answers as a client/);
    expect(well.output).toMatch(/ok +WebSockets come through to https:\/\/operator\.example\.com/);
    // The certificate of this test ends in two days.
    expect(well.output).toMatch(/warning +the certificate at operator\.example\.com:443 ends/);
    expect(well.code).toBe(0);
    chmodSync(state, 0o755);
    const ill = await doctor({});
    chmodSync(state, 0o700);
    expect(ill.output).toContain(`PROBLEM others may read ${state}\n        chmod go= ${state}`);
    expect(ill.output).toMatch(/PROBLEM the certificate at operator\.example\.com:443 is not trusted/);
    expect(ill.code).toBe(1);
    const none = server.start(process.execPath, [OPERATOR, "status"], { OPERATOR_STATE: server.home });
    expect(await none.ended).toEqual({ code: 1, output: expect.stringContaining("Operator is not running") });
  });

  it("can be claimed from the laptop with the link that its start printed", async () => {
    const [, code = ""] = await operator.says(/\/claim#(\S+)/);
    expect((await post("/claim", { code, name: "dana", password: PASSWORD })).output).toBe("303");
    expect(readFileSync(cookies, "utf8")).toMatch(/#HttpOnly_operator\.example\.com\tFALSE\t\/\tTRUE/);
  });

  /** Waits for the code that a program shows, and approves it as its owner on the laptop. */
  async function approve(program: Program): Promise<Ended> {
    await approveCode(program);
    return program.ended;
  }

  async function approveCode(program: Program): Promise<void> {
    const [code = ""] = await program.says(/[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}/);
    const page = (await curl(laptop, "-b", cookies, `${ORIGIN}/pair?code=${code}`)).output;
    const csrf = /name="csrf" value="([^"]+)"/.exec(page)?.[1] ?? "";
    expect((await post("/pair", { csrf, code, decision: "allow" })).output).toBe("200");
  }

  it("adds the laptop as a machine when its owner approves a code, and relays a call to it", async () => {
    const setup = await approve(codez(laptop, "setup", "laptop", "--", process.execPath, SERVER));
    expect(setup).toEqual({ code: 0, output: expect.stringContaining(`"laptop" is online at ${ORIGIN}`) });
    await codez(laptop, "connect", "laptop").says(/online: "laptop"/);

    const { output } = await approve(codez(laptop, "tokens", "create", "test"));
    const [token = ""] = /opr_\S+/.exec(output) ?? [];
    const call = { name: "list_tools", arguments: { machineId: "laptop" } };
    const headers = {
      Authorization: `Bearer ${token}`,
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": "2025-11-25",
    };
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: call });
    const asked = Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
    const answer = await curl(server, ...asked, "-d", body, `${ORIGIN}/mcp`);
    expect(JSON.parse(answer.output)).toMatchObject({ result: { structuredContent: { tools: [] } } });
  });

  it.skipIf(!hasNpx())(
    "adds a computer without a screen by one line, which installs codez and proves that it can be reached",
    async () => {
      const box = network.add("box", "10.77.0.3");
      const tools = join(box.home, "tools");
      mkdirSync(tools);
      writeFileSync(join(tools, "claude"), "#!/bin/sh\necho '2.1.329 (Claude Code)'\n", { mode: 0o755 });
      const npm = { npm_config_update_notifier: "false", npm_config_cafile: ca };
      const env = { NODE_EXTRA_CA_CERTS: ca, PATH: `${tools}:/usr/bin:/bin`, ...npm };
      const line = ["-y", `${ORIGIN}/codez.tgz`, "up", "box"];

      const alone = await box.run(NPX, line, env);
      expect(alone).toEqual({ code: 4, output: expect.stringContaining(`codez.tgz login --admin --hub ${ORIGIN}`) });

      const up = box.start(NPX, line, { ...env, CODEZ_SIGN_IN: "device" });
      await approveCode(up);
      await up.says(/proven: a call through https:\/\/operator\.example\.com\/mcp reached "box"/);
      expect(up.output).toContain("serving the sessions of Claude Code 2.1.329");

      // From now on there is a codez on this computer, whose questions need nobody.
      const own = join(box.home, ".codez", "bin", "codez");
      expect(await box.run(own, ["status"], env)).toEqual({
        code: 0,
        output: expect.stringMatching(/^status +online$/m),
      });
      expect((await box.run(own, ["upgrade"], env)).output).toContain(`is the one that ${ORIGIN} serves`);
      expect(readFileSync(join(box.home, ".profile"), "utf8")).toContain("# added by codez");
      const { output } = await curl(laptop, "-b", cookies, `${ORIGIN}/account`);
      const apps = /Apps with access.*Make an access token/s.exec(output)?.[0];
      expect(apps).toContain("test"); // the test's own token
      expect(apps).not.toContain("codez on"); // the sign-in was given back as soon as it was not needed any more
    },
  );
});
