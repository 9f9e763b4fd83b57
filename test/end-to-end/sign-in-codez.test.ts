import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { allow, Chromium, claim, hasChromium, type Page, STRANGERS } from "./support/browser.ts";
import { client } from "./support/clients.ts";
import { eventually, until, within } from "./support/eventually.ts";
import { TestOperator } from "./support/operator.ts";
import { Workshop } from "./support/workshop.ts";

const BIN = fileURLToPath(new URL("../../scripts/codez/bin.js", import.meta.url));
const Grants = z.object({ grants: z.array(z.object({ client: z.string() })) });

/**
 * A guard against a command that waits for somebody. Each of these ends by itself: a connector whose link was closed first looks for a new token
 * on its own disk for some seconds.
 */
const STOP_MS = 60_000;

type Codez = { child: ChildProcess; said: () => string; code: Promise<number | null> };

describe.skipIf(!hasChromium())("codez at an Operator that requires a sign-in", () => {
  let operator: TestOperator;
  let chromium: Chromium;
  let workshop: Workshop;
  let page: Page;
  let home: string;
  /** A token of the same person, for checks from outside. */
  let token: string;

  beforeAll(async () => {
    operator = await TestOperator.start(STRANGERS);
    chromium = await Chromium.start();
    operator.own(chromium);
    workshop = await Workshop.start();
    operator.own(workshop);
    home = await mkdtemp(join(operator.folder, "codez-"));
    page = await (await chromium.person()).newPage();
    await claim(page, operator.url);
    token = (
      await finished(
        codez(["tokens", "create", "outside", "--may-create-tokens"], { CODEZ_SIGN_IN: "browser" }),
        approveInBrowser,
      )
    ).trim();
  });
  afterAll(() => operator[Symbol.asyncDispose]());

  function codez(args: string[], env: Record<string, string> = {}): Codez {
    const child = spawn(process.execPath, [BIN, ...args], {
      env: {
        ...process.env,
        CI: "",
        HOME: home,
        CODEZ_HOME: join(home, "codez"),
        CODEZ_HUB: operator.url,
        BROWSER: "/bin/true",
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    const hear = (chunk: Buffer): void => void (said += chunk.toString());
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    const code = new Promise<number | null>((resolve) => {
      child.on("close", resolve);
    });
    operator.own({
      [Symbol.asyncDispose]: async () => {
        child.kill("SIGKILL");
        await code;
      },
    });
    return { child, said: () => said, code };
  }

  /** Waits for the end; answers the last line. */
  async function finished(
    started: Codez,
    meanwhile: (started: Codez) => Promise<void> = async () => {},
  ): Promise<string> {
    await meanwhile(started);
    const code = await within(STOP_MS, "codez", started.code);
    if (code !== 0) throw new Error(`codez ended with ${code}: ${started.said()}`);
    return started.said().trim().split("\n").at(-1) ?? "";
  }

  async function approveInBrowser(started: Codez): Promise<void> {
    const url = await eventually(
      "an address to sign in at",
      () => /http:\S+\/oauth\/authorize\?\S+(?=\s)/.exec(started.said())?.[0],
    );
    await allow(page, url);
  }

  async function approveCode(started: Codez): Promise<void> {
    const code = await eventually("a code", () => /\b[B-Z]{4}-[B-Z]{4}\b/.exec(started.said())?.[0]);
    await page.goto(`${operator.url}/pair`);
    await page.fill("input[name=code]", code.toLowerCase());
    await page.click("button[type=submit]");
    await page.click("button[value=allow]");
    await page.waitForSelector("text=Approved");
  }

  test("setup signs in through the browser, and signs out when it is done", async () => {
    const setup = codez(["setup", "attic", "--url", workshop.url.href], { CODEZ_SIGN_IN: "browser" });
    await finished(setup, approveInBrowser);
    const { grants } = Grants.parse((await operator.api("GET", "/api/grants", undefined, token)).body);
    expect(grants).toEqual([]);
  });

  test("setup pairs with a code where there is no browser", async () => {
    const setup = codez(["setup", "barn", "--url", workshop.url.href], { CODEZ_SIGN_IN: "device" });
    await finished(setup, approveCode);
    expect(setup.said()).toContain(`${operator.url}/pair`);
    const { body } = await operator.api("GET", "/api/machines", undefined, token);
    expect(JSON.stringify(body)).toContain('"name":"barn"');
  });

  test("a script uses CODEZ_HUB_TOKEN, and fails at once without it", async () => {
    expect(await finished(codez(["machines", "--json"], { CODEZ_HUB_TOKEN: token }))).toContain("attic");
    const without = codez(["machines"], { CI: "1" });
    expect(await without.code).toBe(4);
    expect(without.said()).toContain("CODEZ_HUB_TOKEN");
  });

  test("without a terminal no command waits for a person: each says what helps it, with the same exit code", async () => {
    const [toLook, toChange] = [`codez login --hub ${operator.url}`, `codez login --admin --hub ${operator.url}`];
    for (const [args, fix] of [
      [["machines"], toLook],
      [["setup", "cellar"], toChange],
      [["rotate", "attic"], toChange],
      [["login"], "Run this in a terminal"],
    ] as const) {
      const alone = codez([...args]);
      expect(await within(STOP_MS, args.join(" "), alone.code)).toBe(4);
      expect(alone.said()).toContain(fix);
    }
  });

  test("login keeps a read-only sign-in until logout or its owner ends it", async () => {
    const grants = async () =>
      Grants.parse((await operator.api("GET", "/api/grants", undefined, token)).body).grants.length;
    await finished(codez(["login"], { CODEZ_SIGN_IN: "device" }), approveCode);
    expect(await grants()).toBe(1);
    for (let time = 0; time < 2; time += 1) expect(await finished(codez(["machines", "--json"]))).toContain("attic");
    // It does not suffice for more.
    const rotate = codez(["rotate", "attic"]);
    expect(await within(STOP_MS, "rotate", rotate.code)).toBe(4);
    const file = join(home, "codez", "sign-ins", `127.0.0.1-${new URL(operator.url).port}.json`);
    expect((await stat(file)).mode & 0o777).toBe(0o600);

    // Its access token has ended: it is renewed, and nobody notices.
    const kept = JSON.parse(await readFile(file, "utf8"));
    await writeFile(file, JSON.stringify({ ...kept, expiresMs: 0 }));
    expect(await finished(codez(["machines", "--json"]))).toContain("attic");
    expect(JSON.parse(await readFile(file, "utf8")).tokens.access_token).not.toBe(kept.tokens.access_token);

    await finished(codez(["logout"]));
    expect(await grants()).toBe(0);
    expect(await within(STOP_MS, "machines", codez(["machines"]).code)).toBe(4);

    await finished(codez(["login"], { CODEZ_SIGN_IN: "device" }), approveCode);
    const [grant] = z
      .object({ grants: z.array(z.object({ id: z.string() })) })
      .parse((await operator.api("GET", "/api/grants", undefined, token)).body).grants;
    await operator.api("DELETE", `/api/grants/${grant?.id ?? ""}`, undefined, token);
    expect(await within(STOP_MS, "machines", codez(["machines"]).code)).toBe(4);
    await finished(codez(["logout"]));
  });

  test("login --admin keeps the right to manage machines as well", async () => {
    await finished(codez(["login", "--admin"], { CODEZ_SIGN_IN: "device" }), approveCode);
    await finished(codez(["rotate", "attic"]));
    expect(await finished(codez(["tokens", "list", "--json"]))).toContain("outside");
    await finished(codez(["logout"]));
  });

  test("a denial on the phone ends the command here", async () => {
    const machines = codez(["machines"], { CODEZ_SIGN_IN: "device" });
    const code = await eventually("a code", () => /\b[B-Z]{4}-[B-Z]{4}\b/.exec(machines.said())?.[0]);
    await page.goto(`${operator.url}/pair?code=${code}`);
    await page.click("button[value=deny]");
    expect(await within(STOP_MS, "codez", machines.code)).toBe(4);
    expect(machines.said()).toContain("denied");
  });

  test("an answer with a wrong state or from another server is rejected", async () => {
    const machines = codez(["machines"], { CODEZ_SIGN_IN: "browser" });
    const url = new URL(
      await eventually("an address", () => /http:\S+\/oauth\/authorize\?\S+(?=\s)/.exec(machines.said())?.[0]),
    );
    const callback = url.searchParams.get("redirect_uri") ?? "";
    expect((await fetch(`${callback}?code=forged&state=forged`)).status).toBe(404);
    const state = url.searchParams.get("state") ?? "";
    const mixed = new URLSearchParams({ code: "forged", state, iss: "https://evil.test" });
    expect((await fetch(`${callback}?${mixed}`)).status).toBe(400);
    expect(await within(STOP_MS, "codez", machines.code)).toBe(4);
  });

  test("a removed machine is cut off at once: its calls fail, and its connector says what to run", async () => {
    const connector = codez(["connect", "attic"]);
    await until("attic is online", async () => JSON.stringify((await operator.api("GET", "/api/machines/attic", undefined, token)).body).includes('"status":"online"')); // prettier-ignore
    await using caller = await client(operator.mcpUrl, "2025-11-25", { authorization: `Bearer ${token}` });
    const call = caller.callTool({
      name: "call_tool",
      arguments: { machineId: "attic", name: "wait", arguments: { name: "w" } },
    });
    await until("the call arrived", () => workshop.waiting.has("w"));
    expect((await operator.api("DELETE", "/api/machines/attic", undefined, token)).status).toBe(204);
    const result = await within(STOP_MS, "the call in flight", call);
    expect(JSON.stringify(result)).toContain("machine_revoked");
    expect(await within(STOP_MS, "the connector", connector.code)).toBe(8);
    expect(connector.said()).toContain("codez setup");
  });

  test("a token rotated elsewhere stops the connector in the same way", async () => {
    const connector = codez(["connect", "barn"]);
    await until("barn is online", async () => JSON.stringify((await operator.api("GET", "/api/machines/barn", undefined, token)).body).includes('"status":"online"')); // prettier-ignore
    expect((await operator.api("POST", "/api/machines/barn/token", undefined, token)).status).toBe(200);
    expect(await within(STOP_MS, "the connector", connector.code)).toBe(8);
    await finished(codez(["setup", "barn"], { CODEZ_HUB_TOKEN: token }));
  });

  test("audit shows what was done, and tokens revokes what was created", async () => {
    const audit = await finished(codez(["audit", "--json"], { CODEZ_HUB_TOKEN: token }));
    for (const kind of [
      "sign_in",
      "grant",
      "grant_revoked",
      "token_created",
      "machine_added",
      "machine_removed",
      "call",
    ])
      expect(audit).toContain(`"kind":"${kind}"`);
    expect(audit).not.toContain(token);
    const lines = codez(["audit", "--jsonl"], { CODEZ_HUB_TOKEN: token });
    expect(await lines.code).toBe(0);
    expect(lines.said().trim().split("\n").every((line) => typeof JSON.parse(line).id === "number")).toBe(true); // prettier-ignore
    const limited = await finished(
      codez(["tokens", "create", "script", "--read-only", "--expires", "7", "--calls-per-day", "3"], {
        CODEZ_HUB_TOKEN: token,
      }),
    );
    expect(limited).toMatch(/^opr_owner_/);
    const list = await finished(codez(["tokens", "list", "--json"], { CODEZ_HUB_TOKEN: token }));
    const { tokens } = JSON.parse(list) as {
      tokens: { id: string; label: string; scopes: string[]; callsPerDay: number }[];
    };
    const made = tokens.find(({ label }) => label === "script");
    expect(made).toMatchObject({ scopes: ["operator:read"], callsPerDay: 3 });
    const statuses: number[] = [];
    for (let call = 0; call < 4; call += 1)
      statuses.push((await operator.api("GET", "/api/me", undefined, limited)).status);
    expect(statuses).toEqual([200, 200, 200, 429]);
    await finished(codez(["tokens", "revoke", made?.id ?? ""], { CODEZ_HUB_TOKEN: token }));
    expect((await operator.api("GET", "/api/me", undefined, limited)).status).toBe(401);
  });
});
