import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { PEERS_FOLDER } from "../../peers/bin.ts";

/** Debian's Chromium. */
const CHROMIUM = "/usr/bin/chromium";

/** The last ones keep it from contacting its vendor at every start. */
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]; // prettier-ignore

/** Whether there is a browser to test with. CI sets OPERATOR_REQUIRE_BROWSER, so that there it cannot be missing unnoticed. */
export function hasChromium(): boolean {
  if (existsSync(CHROMIUM)) return true;
  if (process.env["OPERATOR_REQUIRE_BROWSER"] === "1")
    throw new Error(`${CHROMIUM} is missing: apt-get install chromium`);
  console.warn(`skipped: ${CHROMIUM} is missing (apt-get install chromium)`);
  return false;
}

/** The parts of playwright-core that tests use. Its own types are missing when sources are checked, because the first test run installs peers. */
export interface Page {
  context(): BrowserContext;
  goto(url: string): Promise<unknown>;
  url(): string;
  frames(): { url(): string; evaluate<Value>(script: string): Promise<Value> }[];
  content(): Promise<string>;
  fill(selector: string, text: string): Promise<void>;
  inputValue(selector: string): Promise<string>;
  click(selector: string): Promise<void>;
  textContent(selector: string): Promise<string | null>;
  isVisible(selector: string): Promise<boolean>;
  waitForURL(url: string | RegExp): Promise<void>;
  waitForSelector(selector: string, options?: { state: "attached" }): Promise<unknown>;
  waitForRequest(matches: (request: BrowserRequest) => boolean): Promise<BrowserRequest>;
  evaluate<Value>(script: string): Promise<Value>;
  on(event: "console", heard: (message: { type(): string; text(): string; location(): { url: string } }) => void): void;
  on(event: "pageerror", heard: (error: Error) => void): void;
  screenshot(options: { path: string; fullPage?: boolean }): Promise<unknown>;
  setViewportSize(size: { width: number; height: number }): Promise<void>;
  emulateMedia(options: { colorScheme: "light" | "dark" }): Promise<void>;
  reload(): Promise<unknown>;
  close(): Promise<void>;
  keyboard: { press(key: string): Promise<void> };
}
export interface BrowserRequest {
  url(): string;
  isNavigationRequest(): boolean;
}
export interface BrowserContext {
  newPage(): Promise<Page>;
  newCDPSession(page: Page): Promise<{ send(method: string, parameters?: object): Promise<unknown> }>;
  setOffline(isOffline: boolean): Promise<void>;
  grantPermissions(names: readonly string[], options: { origin: string }): Promise<void>;
  addInitScript(script: string): Promise<void>;
  close(): Promise<void>;
  cookies(): Promise<{ name: string; httpOnly: boolean; sameSite: string; secure: boolean }[]>;
}
interface Browser {
  newContext(options: object): Promise<BrowserContext>;
  close(): Promise<void>;
}
interface Playwright {
  readonly chromium: { launch(options: { executablePath: string; args: readonly string[] }): Promise<Browser> };
}

/** A browser; every context is a person's own. */
export class Chromium implements AsyncDisposable {
  readonly #browser: Browser;

  static async start(): Promise<Chromium> {
    const require = createRequire(join(PEERS_FOLDER, "package.json"));
    const { chromium } = require("playwright-core") as Playwright; // of the version that test/peers pins
    return new Chromium(await chromium.launch({ executablePath: CHROMIUM, args: FLAGS }));
  }

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  /** A phone, unless told otherwise. */
  person(
    more: { javaScriptEnabled?: boolean; colorScheme?: "light" | "dark"; bypassCSP?: boolean; hasTouch?: boolean } = {},
  ): Promise<BrowserContext> {
    return this.#browser.newContext({ viewport: { width: 390, height: 844 }, ...more });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
  }
}

/** Vars of an Operator at which everybody has to sign in. */
export const STRANGERS = { CLAIM_CODE: "TESTS-TESTS-TESTS-TESTS", LOOPBACK_OWNER: "" };

export const PASSWORD = "correct horse battery";

/** Claims an Operator by the link that `npm start` prints. */
export async function claim(page: Page, url: string, name = "dana", code = STRANGERS.CLAIM_CODE): Promise<void> {
  await page.goto(`${url}/claim#${code}`);
  if ((await page.inputValue("input[name=code]")) === "") await page.fill("input[name=code]", code);
  await page.fill("input[name=name]", name);
  await page.fill("input[name=password]", PASSWORD);
  await page.click("button[type=submit]");
  await page.waitForURL(`${url}/`);
}

/** Says yes on the consent page that `url` leads to, and answers where that sent the browser. */
export async function allow(page: Page, url: string | URL): Promise<URL> {
  // A tab of its own, which stays open: where the answer goes there may be nothing that listens, and a page that is still
  // failing to load would interrupt whatever the test opens next. What counts is the address.
  const tab = await page.context().newPage();
  const left = tab.waitForRequest((request) => request.isNavigationRequest() && request.url().includes("code="));
  await tab.goto(String(url));
  await tab.click("button[value=allow]");
  return new URL((await left).url());
}
