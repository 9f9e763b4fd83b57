import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, type OnTestFinishedHandler, test } from "vitest";
import * as z from "zod";
import { MachineSummary } from "#protocol/rest-api.ts";
import { ExitCode } from "../../../scripts/codez/exit-code.ts";
import { client } from "../../end-to-end/support/clients.ts";
import { until } from "../../end-to-end/support/eventually.ts";
import { TestOperator } from "../../end-to-end/support/operator.ts";
import { Workshop } from "../../end-to-end/support/workshop.ts";
import { Codez, codez, type Ended } from "../../scripts/codez/commands/support/codez.ts";

/**
 * A machine's link token was all that its link asked for, so a copy of its profile was the machine, and nobody was told. Another
 * computer that took a name over with `--replace` could not be put out again.
 */

let operator: TestOperator;
let workshop: Workshop;

beforeAll(async () => {
  operator = await TestOperator.start();
  workshop = await Workshop.start();
  operator.own(workshop);
});

afterAll(() => operator[Symbol.asyncDispose]());

const computer = (): Promise<string> => mkdtemp(join(operator.folder, "computer-"));

function on(home: string, ...args: string[]): Promise<Ended> {
  return codez(home, args, { CODEZ_HUB: operator.url });
}

type Finally = (handler: OnTestFinishedHandler) => void;

async function connect(onTestFinished: Finally, home: string, name: string): Promise<Codez> {
  const connector = new Codez(home, ["connect", name], { CODEZ_HUB: operator.url });
  onTestFinished(() => connector[Symbol.asyncDispose]());
  await connector.says("online");
  return connector;
}

/** A new computer that is set up as this machine. */
async function machine(name: string): Promise<string> {
  const home = await computer();
  expect((await on(home, "setup", name, "--url", workshop.url.href)).code).toBe(ExitCode.OK);
  return home;
}

async function sum(machineId: string): Promise<unknown> {
  await using made = await client(operator.mcpUrl, "2025-11-25");
  return (await made.callTool({ name: "call_tool", arguments: { machineId, name: "add", arguments: { a: 1, b: 2 } } }))
    .structuredContent;
}

async function listed(name: string): Promise<MachineSummary | undefined> {
  const { body } = await operator.api("GET", "/api/machines");
  return z
    .object({ machines: z.array(MachineSummary) })
    .parse(body)
    .machines.find((one) => one.name === name);
}

// Each has a machine of its own. A refused connector tries again for ten seconds, so they wait beside each other.
describe.concurrent("a machine's link", () => {
  test("a copied profile is refused, whether the machine is connected or not, and its person is notified", async ({
    onTestFinished,
  }) => {
    const home = await machine("attic");
    expect((await on(home, "status", "attic")).out).toMatch(/link key: bound to this computer \([\w-]{16}\)/);
    const connector = await connect(onTestFinished, home, "attic");

    const thief = await computer();
    mkdirSync(join(thief, "machines"));
    cpSync(join(home, "machines", "attic.json"), join(thief, "machines", "attic.json"));
    const refused = await on(thief, "connect", "attic");
    expect([refused.code, refused.err]).toEqual([
      ExitCode.REVOKED,
      expect.stringContaining("bound to the key of another computer"),
    ]);
    expect(await sum("attic")).toEqual({ sum: 3 });
    await until("the notice", async () => (await listed("attic"))?.link?.refused != null);
    expect((await on(home, "machines")).out).toMatch(
      /The token was copied. On that machine run: (npx )?codez rotate attic/,
    );
    expect((await on(home, "status", "attic")).out).toContain("warning    Somebody showed the link token");

    connector.process.kill("SIGTERM");
    await connector.ended();
    expect((await on(thief, "connect", "attic")).code).toBe(ExitCode.REVOKED);
    await connect(onTestFinished, home, "attic");
    expect((await on(home, "rotate", "attic")).code).toBe(ExitCode.OK);
    await until("the new token", async () => (await listed("attic"))?.status === "online");
    expect((await on(home, "machines")).out).not.toContain("rotate attic");
    expect((await on(thief, "connect", "attic")).err).toContain("does not accept the token");
  });

  test("a profile from before link keys works until a connector with a key binds it", async ({ onTestFinished }) => {
    const home = await machine("barn");
    // As 0.2 left it: a machine registered without a key, and no key on its disk.
    const profile = JSON.parse(readFileSync(join(home, "machines", "barn.json"), "utf8")) as { identity: string };
    expect((await operator.api("DELETE", "/api/machines/barn")).status).toBe(204);
    const { body } = await operator.api("POST", "/api/machines", { name: "barn", identity: profile.identity });
    const { token } = z.object({ token: z.string() }).parse(body);
    rmSync(join(home, "machines", "barn.key"));
    writeFileSync(join(home, "machines", "barn.json"), JSON.stringify({ ...profile, token }), { mode: 0o600 });
    expect((await on(home, "status", "barn")).out).toContain("link key: not bound");
    await connect(onTestFinished, home, "barn");
    await until("the bound key", async () => (await listed("barn"))?.link?.key != null);
    expect((await on(home, "status", "barn")).out).toContain("link key: bound to this computer");
    expect(await sum("barn")).toEqual({ sum: 3 });
  });

  test("setup gives a new key to a computer that lost its own, and renaming a machine keeps its key", async ({
    onTestFinished,
  }) => {
    const home = await machine("cellar");
    rmSync(join(home, "machines", "cellar.key"));
    expect((await on(home, "connect", "cellar")).code).toBe(ExitCode.REVOKED);
    rmSync(join(home, "machines", "cellar.key"));
    const again = await on(home, "setup", "cellar");
    expect([again.code, again.err]).toEqual([ExitCode.OK, expect.any(String)]);
    expect((await on(home, "rename", "cellar", "vault")).code).toBe(ExitCode.OK);
    await connect(onTestFinished, home, "vault");
    expect((await on(home, "status", "vault")).out).toContain("link key: bound to this computer");
  });

  test("a takeover with --replace is announced to the former computer, and codez restore reverts it", async ({
    onTestFinished,
  }) => {
    const home = await machine("dune");
    const connector = await connect(onTestFinished, home, "dune");
    const other = await computer();
    expect((await on(other, "setup", "dune", "--url", workshop.url.href, "--replace")).code).toBe(ExitCode.OK);
    const { code, err } = await connector.ended();
    expect([code, err]).toEqual([
      ExitCode.REVOKED,
      expect.stringContaining("another computer took this machine's name over"),
    ]);
    expect((await on(home, "machines")).out).toMatch(/If that was not you: (npx )?codez restore dune/);

    const taken = await connect(onTestFinished, other, "dune");
    const restored = await on(home, "restore", "dune");
    expect([restored.code, restored.out]).toEqual([ExitCode.OK, expect.stringContaining("belongs again")]);
    expect((await taken.ended()).code).toBe(ExitCode.REVOKED);
    await connect(onTestFinished, home, "dune");
    expect(await sum("dune")).toEqual({ sum: 3 });
    expect((await on(other, "connect", "dune")).code).toBe(ExitCode.REVOKED);
    const nothing = await on(home, "restore", "dune");
    expect([nothing.code, nothing.err]).toEqual([ExitCode.REFUSED, expect.stringContaining("nothing to undo")]);
  });
});
