import { mkdirSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { generateHistory } from "../../scripts/bench/serve-history.ts";
import { TestMachine } from "../scripts/serve/support/machine.ts";
import { Chromium, claim, hasChromium, type Page, PASSWORD, STRANGERS } from "./support/browser.ts";
import { joinOperator } from "./support/join-operator.ts";
import { Machine, register } from "./support/machine.ts";
import { TestOperator } from "./support/operator.ts";
import { Workshop } from "./support/workshop.ts";

/**
 * What the pages cost with much on them, in a real browser on a phone's screen: `npm run bench:pages`. It is no test of the suite: it
 * runs only when the environment asks for it.
 */
const IS_ASKED = process.env["OPERATOR_PAGE_FIGURES"] === "1";

const MACHINES = 1_000;
const SESSIONS = 10_000;
const PUSHING = 5;
const TRANSCRIPT_BYTES = 50 * 1024 * 1024;
const ROUNDS = 5;

/** Until the last of the sessions is on a page. */
const ARRIVAL_MS = 300_000;

type Figures = { readonly [name: string]: number };

/** What the browser itself says of the page that it shows: milliseconds since the navigation began, bytes before compression. */
const MEASURED = `(() => {
  const [page] = performance.getEntriesByType("navigation");
  const rest = performance.getEntriesByType("resource").filter(({ name }) => !/live|stream/.test(name));
  const painted = performance.getEntriesByName("first-contentful-paint")[0];
  return {
    answeredMs: Math.round(page.responseEnd),
    paintedMs: Math.round(painted ? painted.startTime : page.domContentLoadedEventEnd),
    readyMs: Math.round(page.domContentLoadedEventEnd),
    pageBytes: page.decodedBodySize,
    fetched: rest.filter(({ transferSize }) => transferSize > 0).length,
    fetchedBytes: rest.reduce((sum, { transferSize, decodedBodySize }) => sum + (transferSize > 0 ? decodedBodySize : 0), 0),
  };
})()`;

/** Scrolls to the end until nothing is added any more: how many rows there are then, how long that took, and the longest frame. */
const SCROLLED = `(async () => {
  const begun = performance.now();
  const rows = () => document.querySelectorAll("[data-list] > li").length;
  let [longest, last] = [0, performance.now()];
  let isOver = false;
  const frame = (now) => { longest = Math.max(longest, now - last); last = now; if (!isOver) requestAnimationFrame(frame); };
  requestAnimationFrame((now) => { last = now; frame(now); });
  while (document.querySelector("[data-more]")) {
    scrollTo(0, document.documentElement.scrollHeight);
    await new Promise((resolve) => setTimeout(resolve, 16));
  }
  isOver = true;
  return { rows: rows(), scrolledMs: Math.round(performance.now() - begun), longestFrameMs: Math.round(longest) };
})()`;

describe.skipIf(!IS_ASKED || !hasChromium())("figures of", () => {
  let operator: TestOperator;
  let page: Page;
  let url: string;
  let transcript: string;

  beforeAll(async () => {
    operator = await TestOperator.start(STRANGERS);
    await operator.stop();
    url = `http://localhost:${operator.port}`;
    await operator.start({ LOOPBACK_OWNER: "owner", CLAIM_CODE: STRANGERS.CLAIM_CODE, ORIGIN: url });
    const chromium = await Chromium.start();
    operator.own(chromium);
    page = await (await chromium.person()).newPage();
    await claim(page, url);

    const attic = await TestMachine.start({ repos: ["api"] });
    operator.own(attic);
    const folder = join(attic.home, ".claude", "projects");
    mkdirSync(folder, { recursive: true });
    const { session } = generateHistory(folder, { sessions: 1, bytes: TRANSCRIPT_BYTES });
    transcript = `/sessions/attic/${session}`;
    await joinOperator(operator, attic);

    const workshop = await Workshop.start();
    operator.own(workshop);
    const pushing: Machine[] = [];
    for (let index = 0; index < PUSHING; index += 1)
      pushing.push(await Machine.add(operator, `barn-${index}`, workshop.url));
    for (let from = PUSHING + 1; from < MACHINES; from += 20)
      await Promise.all(
        Array.from({ length: Math.min(20, MACHINES - from) }, (_, at) => register(operator, `m${from + at}`)),
      );
    for (let index = 0; index < SESSIONS; index += 1) {
      const told = { slug: "-home-ann-src-api", cwd: "/home/ann/src/api", title: `Fix the flaky test ${index}` };
      const atMs = Date.now() - index * 60_000;
      const about = { session: `s${index}`, atMs };
      pushing[index % PUSHING]?.push(
        { ...about, type: "session.created", data: told },
        { ...about, type: "session.idle", data: { outcome: "done", result: "It passes now.", cost_usd: 0.4 } },
      );
    }
    const deadlineMs = Date.now() + ARRIVAL_MS;
    while (!(await isThere(SESSIONS - 1))) expect(Date.now()).toBeLessThan(deadlineMs);
  }, 900_000);
  afterAll(() => operator[Symbol.asyncDispose]());

  async function isThere(index: number): Promise<boolean> {
    await page.goto(`${url}/sessions?q=test+${index}`);
    return (await page.content()).includes(`flaky test ${index}<`);
  }

  /** The median of each figure, over several loads of a page with what the browser has kept. */
  async function measured(path: string): Promise<Figures> {
    const all: Figures[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      await page.goto("about:blank");
      await page.goto(`${url}${path}`);
      all.push(await page.evaluate<Figures>(MEASURED));
    }
    const names = Object.keys(all[0] ?? {});
    return Object.fromEntries(
      names.map((name) => [name, all.map((one) => one[name] ?? 0).toSorted((a, b) => a - b)[ROUNDS >> 1] ?? 0]),
    );
  }

  test("the pages", { timeout: 600_000 }, async () => {
    const said: Record<string, Figures> = {};
    for (const path of [
      "/",
      "/machines",
      "/machines?q=m99",
      "/sessions",
      "/sessions?q=test+9999",
      "/sessions?state=running",
      "/account",
      "/notifications",
      "/inbox",
      transcript,
    ])
      // prettier-ignore
      said[path] = await measured(path);
    for (const path of ["/machines", "/sessions"]) {
      await page.goto(`${url}${path}`);
      said[`${path}, scrolled to its end`] = await page.evaluate<Figures>(SCROLLED);
    }
    await page.goto(`${url}${transcript}`);
    const isAtEnd = await page.evaluate<boolean>(
      "innerHeight + scrollY >= document.documentElement.scrollHeight - 2 && document.documentElement.scrollHeight > 2 * innerHeight",
    );
    expect(isAtEnd).toBe(true);

    // What the first view needs after somebody has signed in: the page alone, since the sign-in page has brought the rest.
    await page.goto(`${url}/account`);
    await page.click("text=Sign out of this browser");
    await page.waitForURL(/sign-in/);
    await page.fill("input[name=name]", "dana");
    await page.fill("input[name=password]", PASSWORD);
    await page.click("button[type=submit]");
    await page.waitForURL(`${url}/`);
    said["/ after sign-in"] = await page.evaluate<Figures>(MEASURED);

    const assets = await page.evaluate<string[]>(
      "[...document.querySelectorAll('script[src], link[rel=stylesheet]')].map((one) => one.src || one.href)",
    );
    for (const one of assets) {
      const text = await (await fetch(one)).text();
      said[new URL(one).pathname] = { bytes: text.length, compressedBytes: gzipSync(text).length };
    }
    const gb = Math.round(totalmem() / 1024 ** 3);
    console.log(
      `${cpus().length} cores (${cpus()[0]?.model}), ${gb} GB, load ${loadavg()
        .map((one) => one.toFixed(1))
        .join(" ")}`,
    );
    console.table(said);
  });
});
