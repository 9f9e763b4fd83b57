import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Codez, codez } from "../scripts/codez/commands/support/codez.ts";
import { obedient, TestMachine } from "../scripts/serve/support/machine.ts";
import { axeFindings } from "./support/accessibility.ts";
import { Chromium, claim, hasChromium, type Page, STRANGERS } from "./support/browser.ts";
import { TestOperator } from "./support/operator.ts";

describe.skipIf(!hasChromium())("a person with a browser and a machine", () => {
  let operator: TestOperator;
  let attic: TestMachine;
  let chromium: Chromium;
  let page: Page;
  let url: string;
  const complaints: string[] = [];

  beforeAll(async () => {
    operator = await TestOperator.start();
    await operator.stop();
    url = `http://localhost:${operator.port}`;
    await operator.start({ LOOPBACK_OWNER: "owner", CLAIM_CODE: STRANGERS.CLAIM_CODE, ORIGIN: url });
    chromium = await Chromium.start();
    operator.own(chromium);
    page = await (await chromium.person()).newPage();
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(`${message.text()} ${message.location().url}`);
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    await claim(page, url);
  });
  afterAll(() => operator[Symbol.asyncDispose]());

  test("sees a machine appear by itself on the page that says how to add one", async () => {
    await page.goto(`${url}/machines/new`);
    attic = await TestMachine.start({ script: obedient, repos: ["api"] });
    operator.own(attic);
    const home = join(attic.home, ".codez");
    const hub = { CODEZ_HUB: operator.url };
    const set = await codez(home, ["setup", "attic", "--url", attic.url], hub);
    expect(set.code, set.err).toBe(0);
    const connector = new Codez(home, ["connect", "attic"], hub);
    operator.own(connector);
    await connector.says("online");
    await page.waitForSelector("#added .name:has-text('attic')");
    await page.click("#added .name");
    await page.waitForSelector(".status:has-text('Online')");
  });

  test("follows a session live, allows its command in two taps, and sends it a prompt", async () => {
    await using client = await attic.connect();
    await page.goto(`${url}/`);
    const session = await client.create(attic.repo("api"), { prompt: "bash touch made && echo from-the-shell" });
    // The overview shows the request by itself.
    await page.waitForSelector("#overview .ask:has-text('echo from-the-shell')");
    expect(await page.textContent("#overview .ask h2")).toBe("May it use Bash?");
    await page.goto(`${url}/sessions/attic/${session}`);
    await page.waitForSelector(".ask:has-text('echo from-the-shell')");
    await page.click("button[value=allow]");
    await page.waitForSelector(".note:has-text('has taken it')");
    await page.goto(`${url}/sessions/attic/${session}`);
    await page.waitForSelector(".said:has-text('Heard: bash touch made && echo from-the-shell | from-the-shell')");
    await page.fill("textarea[name=text]", "and <b>again</b>");
    await page.click("button:has-text('Send')");
    await page.waitForSelector(".said:has-text('Heard: and <b>again</b>')");
    // Each message once, whether it came with the page or over the stream.
    const said = await page.evaluate<string[]>(
      "[...document.querySelectorAll('.said')].map((one) => one.textContent.trim())",
    );
    expect(said.filter((text) => text === "Heard: and <b>again</b>")).toHaveLength(1);
    expect(said.filter((text) => text.endsWith("and <b>again</b>"))).toHaveLength(2);
    await page.reload();
    const anew = await page.evaluate<string[]>(
      "[...document.querySelectorAll('.said')].map((one) => one.textContent.trim())",
    );
    expect(anew).toHaveLength(said.length);
  });

  test("finds pages that can be used with a keyboard, that axe has nothing against, and that break no policy of theirs", async () => {
    for (const path of ["/", "/machines", "/machines/attic", "/sessions", "/connect", "/account", "/inbox"]) {
      await page.goto(`${url}${path}`);
      expect(await axeFindings(page), path).toEqual([]);
      expect(await page.evaluate<boolean>("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    }
    await page.keyboard.press("Tab");
    expect(await page.evaluate<string>("document.activeElement.textContent.trim()")).toBe("Skip to the content");
    expect(complaints).toEqual([]);
  });

  test("uses lists, machines and forms without a script", async () => {
    const context = await chromium.person({ javaScriptEnabled: false });
    const plain = await context.newPage();
    await plain.goto(`${url}/machines/attic`);
    await plain.fill("input[name=name]", "dana");
    await plain.fill("input[name=password]", "correct horse battery");
    await plain.click("button[type=submit]");
    await plain.waitForURL("**/machines/attic");
    await plain.fill("#manage input[name=name]", "loft");
    await plain.click("#manage button:has-text('Rename')");
    await plain.waitForURL("**/machines/loft");
    await plain.click("a:has-text('Remove')");
    await plain.click("button:has-text('Remove')");
    await plain.waitForSelector("text=loft is removed");
  });

  test("is told when the connection is lost, and it is picked up again", async () => {
    await page.goto(`${url}/sessions`);
    await page.context().setOffline(true);
    await page.waitForSelector("[data-connection]:not([hidden])");
    await page.context().setOffline(false);
    await page.waitForSelector("[data-connection][hidden]", { state: "attached" });
  });
});
