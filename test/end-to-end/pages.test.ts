import { TestBrowserPush } from "../support/push-service.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { obedient, TestMachine } from "../scripts/serve/support/machine.ts";
import { axeFindings } from "./support/accessibility.ts";
import { Chromium, claim, hasChromium, type Page, PASSWORD, STRANGERS } from "./support/browser.ts";
import { until } from "./support/eventually.ts";
import { joinOperator } from "./support/join-operator.ts";
import { Machine } from "./support/machine.ts";
import { TestOperator } from "./support/operator.ts";
import { WebhookReceiver } from "./support/webhook-receiver.ts";
import { Workshop } from "./support/workshop.ts";

describe.skipIf(!hasChromium())("a person with a browser and a machine", () => {
  let operator: TestOperator;
  let attic: TestMachine;
  let chromium: Chromium;
  let page: Page;
  let url: string;
  let pushService: WebhookReceiver;
  const complaints: string[] = [];

  beforeAll(async () => {
    operator = await TestOperator.start();
    await operator.stop();
    url = `http://localhost:${operator.port}`;
    pushService = await WebhookReceiver.start();
    operator.own(pushService);
    const vars = { LOOPBACK_OWNER: "owner", CLAIM_CODE: STRANGERS.CLAIM_CODE, WEBHOOK_ORIGINS: pushService.origin };
    await operator.start({ ...vars, ORIGIN: url });
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
    await joinOperator(operator, attic);
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
    await page.waitForSelector(".said:has-text('Heard: and <b>again</b>')");
    const anew = await page.evaluate<string[]>(
      "[...document.querySelectorAll('.said')].map((one) => one.textContent.trim())",
    );
    expect(anew).toHaveLength(said.length);
    // By Ctrl+Enter as well, however often. Nothing is sent here, only counted.
    const count = await page.evaluate<number>(`(async () => {
      let sent = 0;
      addEventListener("submit", (event) => { if (!event.defaultPrevented) sent += 1; event.preventDefault(); });
      const area = document.querySelector("textarea[data-sends]");
      area.value = "once";
      for (let press = 0; press < 2; press += 1) {
        area.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true }));
        await new Promise((resolve) => setTimeout(resolve));
      }
      return sent;
    })()`);
    expect(count).toBe(1);
  });

  test("sees a photo that goes with a prompt as soon as it is sent", async () => {
    await using client = await attic.connect();
    const session = await client.create(attic.repo("api"), { prompt: "hello" });
    await page.goto(`${url}/sessions/attic/${session}`);
    await page.waitForSelector(".said:has-text('Heard: hello')");
    // Sent by another client, so that the page which shows it is not loaded anew.
    const attachments = [{ media_type: "image/png", data: PNG, name: "screen.png" }];
    await client.call("send_prompt", { session_id: session, text: "what is this?", attachments });
    await page.waitForSelector(".said:has-text('what is this?') img.picture");
    await until("the picture", () =>
      page.evaluate<boolean>("[...document.images].some((one) => one.complete && one.naturalWidth === 1)"),
    );
    expect(complaints).toEqual([]);
  });

  test("gets a push while no page is open, taps it, and allows what is asked there", async () => {
    const context = page.context();
    const push = await TestBrowserPush.make(`${pushService.origin}/browser`);
    // Only the vendor's push service is replaced: its address and keys. All else is the browser's own.
    await context.grantPermissions(["notifications"], { origin: url });
    await context.addInitScript(subscribing(push));
    await page.goto(`${url}/notifications`);
    await page.click("button[data-push]");
    await page.waitForSelector("h2:has-text('This browser: ')");
    expect(await axeFindings(page)).toEqual([]);
    await page.goto("about:blank");

    await using client = await attic.connect();
    const session = await client.create(attic.repo("api"), { prompt: "bash touch tapped && echo allowed-by-a-tap" });
    await until("a push", async () => pushService.arrived.length > 0);
    const text = await push.decrypt(pushService.arrived[0]?.bytes ?? new Uint8Array());
    // The browser's own service worker gets what the push service got.
    await page.goto(`${url}/manifest.webmanifest`);
    const cdp = await context.newCDPSession(page);
    await cdp.send("ServiceWorker.enable");
    await cdp.send("ServiceWorker.deliverPushMessage", { origin: url, registrationId: "0", data: text });
    const shown = await page.evaluate<{ title: string; path: string }>(`(async () => {
      const registration = await navigator.serviceWorker.ready;
      for (;;) {
        const [one] = await registration.getNotifications();
        if (one) return { title: one.title, path: one.data.path };
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })()`);
    expect(shown).toEqual({ title: "attic asks for permission", path: expect.stringMatching(/^\/inbox\/\d+$/) });

    await page.goto(`${url}${shown.path}`);
    await page.waitForSelector(".ask:has-text('echo allowed-by-a-tap')");
    await page.click("button[value=allow]");
    await page.waitForSelector(".note:has-text('has taken it')");
    await page.goto(`${url}/sessions/attic/${session}`);
    await page.waitForSelector(
      ".said:has-text('Heard: bash touch tapped && echo allowed-by-a-tap | allowed-by-a-tap')",
    );
  });

  test("decides in two browsers at once: one decision counts, and the other browser is told of it", async () => {
    // Not the page whose console is watched: browsers report the answer 409 there, and one of the two gets it.
    const mine = await page.context().newPage();
    const other = await (await chromium.person()).newPage();
    await other.goto(`${url}/sign-in`);
    await other.fill("input[name=name]", "dana");
    await other.fill("input[name=password]", PASSWORD);
    await other.click("button[type=submit]");
    await other.waitForURL(`${url}/`);
    await using client = await attic.connect();
    await client.create(attic.repo("api"), { prompt: "bash touch decided && echo decided-once" });
    for (const browser of [mine, other]) {
      await browser.goto(`${url}/inbox`);
      await browser.waitForSelector(".ask:has-text('echo decided-once')");
    }
    const notes = [mine, other].map(async (browser, index) => {
      await browser.click(`button[value=${index === 0 ? "allow" : "deny"}]`);
      await browser.waitForSelector(".note");
      return browser.textContent(".note");
    });
    const told = (await Promise.all(notes)).toSorted((one) => (one?.includes("Nothing was changed") === true ? 1 : -1));
    expect(told[0]).toContain("has taken it");
    expect(told[1]).toContain("before");
    expect(told[1]).toContain("Nothing was changed");
    await mine.close();
    await other.context().close();
  });

  test("finds nothing replaced under a finger, and sees what is new when it is lifted", async () => {
    await using client = await attic.connect();
    const first = await client.create(attic.repo("api"), { prompt: "bash touch first && echo the-first" });
    await page.goto(`${url}/`);
    await page.waitForSelector(".ask:has-text('echo the-first')");
    await page.evaluate(`(() => {
      window.pressed = document.querySelector(".ask button[value=allow]");
      pressed.dispatchEvent(new PointerEvent("pointerdown", { bubbles: true }));
    })()`);
    const second = await client.create(attic.repo("api"), { prompt: "bash touch second && echo the-second" });
    const asksAnew = () => page.waitForRequest((request) => request.url() === `${url}/`);
    // The first one has the second request in it at the latest when it is in the inbox; the one after it is sent when that was dealt with.
    await until("both requests", async () => {
      const { body } = await operator.api("GET", "/api/inbox");
      return JSON.stringify(body).includes("the-second");
    });
    await asksAnew();
    await asksAnew();
    await asksAnew();
    expect(await page.evaluate<boolean>("pressed.isConnected")).toBe(true);
    await page.evaluate(`(() => {
      const part = pressed.closest("[data-live-part]");
      new MutationObserver(() => { window.wasInert = part.inert; }).observe(part, { childList: true });
      pressed.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
    })()`);
    await page.waitForSelector(".ask:has-text('echo the-second')");
    expect(await page.evaluate<boolean>("pressed.isConnected")).toBe(false);
    // What has just come takes no tap for a moment.
    expect(await page.evaluate<boolean>("window.wasInert")).toBe(true);
    await page.waitForSelector("[data-live-part]:not([inert]) .ask");
    // A browser that opens its menu tells nothing of the finger any more.
    await page.evaluate(`(() => {
      const button = document.querySelector(".ask:last-of-type button[value=allow]");
      button.focus();
      window.chosen = button.closest(".ask").id;
      button.dispatchEvent(new PointerEvent("pointerdown", { bubbles: true }));
      button.dispatchEvent(new MouseEvent("contextmenu", { bubbles: true }));
    })()`);
    const third = await client.create(attic.repo("api"), { prompt: "bash touch third && echo the-third" });
    await page.waitForSelector(".ask:has-text('echo the-third')");
    expect(await page.evaluate<string>("document.activeElement.closest('.ask').id")).toBe(
      await page.evaluate<string>("chosen"),
    );
    for (const session of [first, second, third]) await client.call("dispose_session", { session_id: session });
  });

  test("finds pages that can be used with a keyboard, that axe has nothing against, and that break no policy of theirs", async () => {
    for (const path of [
      "/",
      "/machines",
      "/machines/attic",
      "/sessions",
      "/connect",
      "/account",
      "/inbox",
      "/notifications",
      "/audit",
      "/costs",
    ]) {
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
    await plain.waitForURL("**/machines/loft#manage");
    await plain.click("a:has-text('Remove')");
    await plain.click("button:has-text('Remove')");
    await plain.waitForSelector("text=loft is removed");
  });

  test("scrolls through a list of several pages, in which every row stays, once, whatever changes", async () => {
    const workshop = await Workshop.start();
    operator.own(workshop);
    const barn = await Machine.add(operator, "barn", workshop.url);
    const nowMs = Date.now();
    for (let index = 0; index < 240; index += 1)
      barn.push({
        atMs: nowMs - index * 1_000,
        type: "session.created",
        session: `s${index}`,
        data: { title: `s${index}` },
      });
    const rows = () => page.evaluate<string[]>("[...document.querySelectorAll('.rows a')].map((one) => one.pathname)");
    const all = Array.from({ length: 240 }, (_, index) => `/sessions/barn/s${index}`);
    await until("the last session", async () => {
      await page.goto(`${url}/sessions?machine=barn&q=s239`);
      return (await rows()).length === 1;
    });
    await page.goto(`${url}/sessions?machine=barn`);
    await until("every page of the list", async () => {
      await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)");
      return (await rows()).length === 240;
    });
    expect(await rows()).toEqual(all);
    // A session of the last page is in use again, and stands first. What it pushed off the first page goes on below it.
    barn.push({ atMs: Date.now(), type: "turn.started", session: "s239", data: {} });
    await until("the change", async () => (await rows())[0] === all[239]);
    expect(await rows()).toEqual([all[239], ...all.slice(0, 239)]);
  });

  test("is told when the connection is lost, and it is picked up again", async () => {
    await page.goto(`${url}/sessions`);
    await page.context().setOffline(true);
    await page.waitForSelector("[data-connection]:not([hidden])");
    await page.context().setOffline(false);
    await page.waitForSelector("[data-connection][hidden]", { state: "attached" });
  });
});

/** One grey pixel. */
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==";

/**
 * Makes the browser's subscription one at a push service of the test. The real `pushManager.subscribe` asks the push service of the
 * browser's vendor for an address, over the network, and has no setting for another one. In the profiles that tests use, which are off the
 * record, Chromium does not even ask: "AbortError: Registration failed - permission denied".
 */
function subscribing({ endpoint, keys }: TestBrowserPush): string {
  const subscription = JSON.stringify({ endpoint, keys });
  return `if (window.PushManager) PushManager.prototype.subscribe = async () => ({ toJSON: () => (${subscription}) });`;
}
