import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Chromium, claim, hasChromium, type Page, PASSWORD, STRANGERS } from "./support/browser.ts";
import { TestOperator } from "./support/operator.ts";

describe.skipIf(!hasChromium())("the pages, in a browser", () => {
  let operator: TestOperator;
  let chromium: Chromium;
  /** An origin where passkeys work: with a name, not an IP address. */
  let url: string;
  const complaints: string[] = [];

  beforeAll(async () => {
    operator = await TestOperator.start(STRANGERS);
    await operator.stop();
    url = `http://localhost:${operator.port}`;
    await operator.start({ ...STRANGERS, ORIGIN: url });
    chromium = await Chromium.start();
    operator.own(chromium);
  });
  afterAll(() => operator[Symbol.asyncDispose]());

  async function visit(more: Parameters<Chromium["person"]>[0] = {}): Promise<Page> {
    const page = await (await chromium.person(more)).newPage();
    page.on("console", (message) => {
      // A page that says no does so with a status that Chromium prints.
      if (message.type() === "error" && !message.text().includes("status of 4")) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    return page;
  }

  async function register(): Promise<string> {
    const { body } = await operator.api("POST", "/oauth/register", {
      client_name: "Robot",
      redirect_uris: ["http://127.0.0.1:9/callback"],
      token_endpoint_auth_method: "none",
    });
    const query = new URLSearchParams({
      response_type: "code",
      client_id: (body as { client_id: string }).client_id,
      redirect_uri: "http://127.0.0.1:9/callback",
      code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
      code_challenge_method: "S256",
      scope: "mcp:tools",
    });
    return `${url}/oauth/authorize?${query}`;
  }

  test("the link that the start prints claims the Operator, and the code disappears from the address bar at once", async () => {
    const page = await visit();
    await page.goto(`${url}/claim#${STRANGERS.CLAIM_CODE}`);
    expect(await page.inputValue("input[name=code]")).toBe(STRANGERS.CLAIM_CODE);
    expect(page.url()).toBe(`${url}/claim`);
    // At an IP address browsers offer no passkeys. The page says where they do, and takes the code along.
    await page.goto(`${operator.url}/claim#${STRANGERS.CLAIM_CODE}`);
    await page.click("text=Open this page at localhost");
    await page.waitForURL(`${url}/claim`);
    expect(await page.inputValue("input[name=code]")).toBe(STRANGERS.CLAIM_CODE);
    await claim(page, url);
    expect(await page.textContent("h1")).toBe("Welcome, dana");
  });

  test("work without scripts for signing in and for consent", async () => {
    const page = await visit({ javaScriptEnabled: false });
    await page.goto(await register());
    expect(await page.textContent(".card")).toContain("Robot wants to use your machines");
    await page.fill("input[name=name]", "dana");
    await page.fill("input[name=password]", PASSWORD);
    await page.click("button[type=submit]");
    expect(await page.textContent("h1")).toBe("Let Robot in?");
    expect(await page.textContent("code")).toBe("127.0.0.1");
    const left = page.waitForRequest((request) => request.url().startsWith("http://127.0.0.1:9/"));
    await page.click("button[value=deny]");
    expect((await left).url()).toContain("error=access_denied");
  });

  test("allow nothing by the second click of a double click whose first one was another page's", async () => {
    const page = await visit();
    await page.goto(await register());
    await page.fill("input[name=name]", "dana");
    await page.fill("input[name=password]", PASSWORD);
    await page.click("button[type=submit]");
    await page.waitForSelector("button[value=allow]");
    // As it is when it appears, when a window above it is closed, and once somebody could have read it.
    const [first, above, later] = await page.evaluate<string[]>(`(async () => {
      const now = (button) => getComputedStyle(button).pointerEvents;
      const button = document.querySelector("button[value=allow]");
      const anew = button.cloneNode(true);
      button.after(anew);
      const first = now(anew);
      anew.remove();
      await Promise.all(button.getAnimations().map((one) => one.finished));
      dispatchEvent(new Event("focus"));
      const above = now(button);
      while (now(button) === "none") await new Promise(requestAnimationFrame);
      return [first, above, now(button)];
    })()`);
    expect([first, above, later]).toEqual(["none", "none", "auto"]);
  });

  test("a passkey can be created, opens the account, and is then all that is asked for", async () => {
    const context = await chromium.person();
    const page = await context.newPage();
    const cdp = await context.newCDPSession(page);
    await cdp.send("WebAuthn.enable");
    const options = {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    };
    await cdp.send("WebAuthn.addVirtualAuthenticator", { options });
    await page.goto(`${url}/sign-in?next=/account`);
    await page.fill("input[name=name]", "dana");
    await page.fill("input[name=password]", PASSWORD);
    await page.click("button[type=submit]");
    await page.waitForURL("**/account");
    await page.click("text=Add a passkey");
    await page.waitForSelector("li:has-text('Passkey')");
    await page.click("text=Sign out of this browser");
    await page.waitForURL("**/sign-in");
    await page.click("text=Sign in with a passkey");
    await page.waitForURL(`${url}/`);
    await page.goto(`${url}/account`);
    expect(await page.textContent("h1")).toBe("dana");

    // An invited person needs no password at all.
    await page.click("text=Invite someone");
    const code = (await page.textContent(".big")) ?? "";
    await page.click("text=Sign out of this browser");
    await page.waitForURL("**/sign-in");
    await page.goto(`${url}/invite#${code}`);
    await page.fill("input[name=name]", "guest");
    await page.click("text=Create account with a passkey");
    await page.waitForURL(`${url}/`);
    expect(await page.textContent("h1")).toBe("Welcome, guest");
    await page.goto(`${url}/account`);
    expect(await page.isVisible("text=Invite someone")).toBe(false);
  });

  test("a passkey's answer works once, and only for this site", async () => {
    const headers = { "content-type": "application/json", "sec-fetch-site": "same-origin" };
    const asked = await fetch(`${url}/sign-in/passkey/options`, { method: "POST", headers, body: "{}" });
    expect(asked.status).toBe(200);
    const response = { id: "AAAA", rawId: "AAAA", type: "public-key", clientExtensionResults: {}, response: {} };
    const body = JSON.stringify({ response });
    expect((await fetch(`${url}/sign-in/passkey`, { method: "POST", headers, body })).status).toBe(401);
    const foreign = { ...headers, "sec-fetch-site": "cross-site" };
    expect((await fetch(`${url}/sign-in/passkey`, { method: "POST", headers: foreign, body })).status).toBe(403);
  });

  test.each(["light", "dark"] as const)(
    "fit a phone in %s, have readable contrast, and obey their own content policy",
    async (colorScheme) => {
      const page = await visit({ colorScheme });
      await page.goto(`${url}/sign-in`);
      await page.fill("input[name=name]", "dana");
      await page.fill("input[name=password]", PASSWORD);
      await page.click("button[type=submit]");
      await page.waitForURL(`${url}/`);
      for (const address of [
        `${url}/account`,
        `${url}/pair`,
        `${url}/invite`,
        await register(),
        `${url}/oauth/authorize`,
      ]) {
        await page.goto(address);
        expect(await page.evaluate<boolean>("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
        expect(await page.evaluate<number>(CONTRAST)).toBeGreaterThan(4.5); // WCAG 2.2, 1.4.3
        expect(await page.evaluate<number>("document.styleSheets.length")).toBe(1);
      }
      expect(complaints).toEqual([]);
    },
  );

  test("stay empty in another site's frame", async () => {
    const page = await visit();
    await page.goto("about:blank");
    await page.evaluate(
      `new Promise((done) => { const frame = document.createElement("iframe"); frame.src = "${url}/sign-in"; frame.onload = done; document.body.append(frame); })`,
    );
    expect(page.frames().map((frame) => frame.url())).toEqual(["about:blank", "chrome-error://chromewebdata/"]);
  });
});

/** The least contrast of a text on the page with what is behind it. */
const CONTRAST = `(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255).map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, index) => sum + one * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (element) => { for (let at = element; at; at = at.parentElement) {
    const color = channels(getComputedStyle(at).backgroundColor); if (color.length === 3 || color[3] > 0) return color; } return [255, 255, 255]; };
  const texts = [...document.querySelectorAll("h1, h2, p, dt, dd, label, button, a, span, code")].filter((one) => one.checkVisibility() && one.textContent.trim() !== "");
  return Math.min(...texts.map((one) => {
    const [text, behind] = [light(channels(getComputedStyle(one).color)), light(ground(one))];
    return (Math.max(text, behind) + 0.05) / (Math.min(text, behind) + 0.05);
  }));
})()`;
