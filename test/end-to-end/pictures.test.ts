import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Script } from "../peers/messages-api.ts";
import type { Codez } from "../scripts/codez/commands/support/codez.ts";
import { TestMachine } from "../scripts/serve/support/machine.ts";
import { axeFindings } from "./support/accessibility.ts";
import { Chromium, claim, hasChromium, type Page, STRANGERS } from "./support/browser.ts";
import { until } from "./support/eventually.ts";
import { Machine, register } from "./support/machine.ts";
import { TestBrowserPush } from "../support/push-service.ts";
import { joinOperator } from "./support/join-operator.ts";
import { TestOperator } from "./support/operator.ts";
import { Workshop } from "./support/workshop.ts";

/**
 * Pictures of every page, of a real run: `npm run pictures`. Each is taken on a phone and on a wide screen, in light and in dark, and
 * axe looks at it. It is no test of the suite: it runs only when the environment says where the pictures go.
 */
const FOLDER = process.env["OPERATOR_PICTURES"] ?? "";

const SIZES = { phone: { width: 390, height: 844 }, wide: { width: 1280, height: 800 } } as const;

/** Pictures that the README shows. They are kept with the sources; all others are only looked at. */
const SHOWN_FOLDER = "control-api/pictures";
const SHOWN: readonly (readonly [name: string, size: keyof typeof SIZES])[] = [
  ["overview-one", "phone"],
  ["session-waiting", "phone"],
  ["changes", "phone"],
  ["machines-many", "wide"],
];

/**
 * Before a picture: a conversation is at its end, where it opens, and names of the computer that takes the pictures are those of a person's
 * machine.
 */
const PREPARE = String.raw`(() => {
  for (const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); walker.nextNode(); ) {
    const { data } = walker.currentNode;
    const said = data.replaceAll(/\/tmp\/codez-serve-\w+/g, "/home/dana").replaceAll(/^vm$/g, "attic.local")
      .replaceAll(/^linux [\w.-]+ x64$/g, "Linux 6.12 x64").replaceAll(/^codez 0\.0\.0-test/g, "claude-code 2.1.329");
    if (said !== data) walker.currentNode.data = said;
  }
  if (document.querySelector("[data-stream]")) scrollTo(0, document.documentElement.scrollHeight);
})()`;

/** Sends the form of the page on which people confirm that it is them, with a wrong password. */
const CONFIRM = String.raw`(() => {
  const form = Object.assign(document.createElement("form"), { method: "post", action: "/sign-in/confirm" });
  const fields = { csrf: document.querySelector("[name=csrf]").value, next: "/inbox", password: "wrong" };
  for (const [name, value] of Object.entries(fields)) form.append(Object.assign(document.createElement("input"), { name, value }));
  document.body.append(form);
  form.submit();
})()`;

/** A model that works on a flaky test: it looks, it changes, it runs what it changed, and says so. */
const worker: Script = ({ prompt, results, tools }) => {
  if (tools.length === 0) return { blocks: [{ text: "Fix the flaky retry test" }] };
  if (!prompt.includes("flaky")) return { blocks: [{ text: `Done. ${prompt} needed no change.` }] };
  const file = "src/retry.test.ts";
  switch (results.length) {
    case 0:
      return {
        blocks: [
          { text: "I'll look at the test first." },
          { tool: "Write", input: { file_path: `${process.env["PICTURES_REPO"]}/${file}`, content: BEFORE } },
        ],
      };
    case 1:
      return {
        blocks: [
          {
            text: "The test compares **wall-clock times**, so a slow computer fails it. I'll pass the clock in instead.",
          },
          {
            tool: "Edit",
            input: {
              file_path: `${process.env["PICTURES_REPO"]}/${file}`,
              old_string:
                "  const startedMs = Date.now();\n  await retry(twice);\n  expect(Date.now() - startedMs).toBeLessThan(50);",
              new_string:
                "  const clock = new ManualClock();\n  await retry(twice, clock);\n  expect(clock.passedMs).toBe(40);",
            },
          },
        ],
      };
    case 2:
      return {
        blocks: [
          { text: ANSWER },
          {
            tool: "Bash",
            input: {
              command: "npx vitest run src/retry.test.ts --repeats 50",
              description: "Run the test fifty times",
            },
          },
        ],
      };
    default:
      return { blocks: [{ text: "It passed 50 times in a row." }] };
  }
};

const BEFORE = `import { expect, test } from "vitest";
import { retry } from "./retry.ts";

test("waits longer before each attempt", async () => {
  const startedMs = Date.now();
  await retry(twice);
  expect(Date.now() - startedMs).toBeLessThan(50);
});
`;

const ANSWER = `## What was wrong

The test measured real time. Under load a timer fires late:

\`\`\`
expected 63 to be less than 50
\`\`\`

## What I changed

- \`retry\` takes a clock, and the test passes its own
- the assertion is exact now: **40 ms**, not "less than 50"

Next I run it fifty times.`;

describe.skipIf(FOLDER === "" || !hasChromium())("pictures of", () => {
  let operator: TestOperator;
  let attic: TestMachine;
  let connector: Codez;
  let page: Page;
  let url: string;
  const found: string[] = [];

  beforeAll(async () => {
    for (const folder of [FOLDER, SHOWN_FOLDER]) mkdirSync(folder, { recursive: true });
    operator = await TestOperator.start(STRANGERS);
    await operator.stop();
    url = `http://localhost:${operator.port}`;
    await operator.start({ LOOPBACK_OWNER: "owner", CLAIM_CODE: STRANGERS.CLAIM_CODE, ORIGIN: url });
    const chromium = await Chromium.start();
    operator.own(chromium);
    page = await (await chromium.person({ bypassCSP: true })).newPage();
  });
  afterAll(() => operator[Symbol.asyncDispose]());

  /** Takes all four pictures of the page that is open, or of `path`. */
  async function take(name: string, path?: string): Promise<void> {
    if (path !== undefined) await page.goto(new URL(path, url).href);
    for (const [size, viewport] of Object.entries(SIZES))
      for (const colorScheme of ["light", "dark"] as const) {
        await page.setViewportSize(viewport);
        await page.emulateMedia({ colorScheme });
        await page.evaluate(PREPARE);
        await page.screenshot({ path: join(FOLDER, `${name}-${size}-${colorScheme}.png`) });
        found.push(...(await axeFindings(page)).map((one) => `${name} ${size} ${colorScheme}: ${one}`));
        if (!(await page.evaluate<boolean>("document.documentElement.scrollWidth <= innerWidth")))
          found.push(`${name} ${size} is too wide`);
        if (SHOWN.some(([one, its]) => one === name && its === size)) await show(name, size, colorScheme, viewport);
      }
  }

  /** Writes a picture that the README shows: sharp, and small as WebP is. */
  async function show(name: string, size: string, colorScheme: string, viewport: object): Promise<void> {
    const cdp = await page.context().newCDPSession(page);
    const y = await page.evaluate<number>("scrollY");
    const taken = await cdp.send("Page.captureScreenshot", {
      format: "webp",
      quality: 70,
      clip: { x: 0, y, ...viewport, scale: size === "phone" ? 2 : 1.5 },
    });
    const { data } = taken as { readonly data: string };
    writeFileSync(join(SHOWN_FOLDER, `${name}-${size}-${colorScheme}.webp`), Buffer.from(data, "base64"));
  }

  /** The address at which an app asks to be let in. */
  async function consentAddress(): Promise<string> {
    const redirect = "http://127.0.0.1:9/callback";
    const asked = { client_name: "Claude Code", redirect_uris: [redirect], token_endpoint_auth_method: "none" };
    const { body } = await operator.api("POST", "/oauth/register", asked);
    const query = new URLSearchParams({
      response_type: "code",
      client_id: (body as { client_id: string }).client_id,
      redirect_uri: redirect,
      code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
      code_challenge_method: "S256",
      scope: "mcp:tools",
    });
    return `/oauth/authorize?${query}`;
  }

  test("the way in", async () => {
    await take("front-door", "/");
    await take("claim", "/claim");
    await take("claim-at-address", `${operator.url}/claim`);
    await take("sign-in", "/sign-in");
    await page.fill("input[name=name]", "dana");
    await page.fill("input[name=password]", "wrong");
    await page.click("button[type=submit]");
    await page.waitForSelector(".note");
    await take("sign-in-refused");
    await take("invitation", "/invite");
    await claim(page, url);
    await take("overview-empty");
    await take("machines-empty", "/machines");
    await take("machine-new", "/machines/new");
    await take("sessions-empty", "/sessions");
    await take("connect", "/connect");
    await take("account-empty", "/account");
    await take("pair", "/pair");
    await take("inbox-empty", "/inbox");
    await take("not-found", "/nothing/here");
    await take("machine-unknown", "/machines/nobody");
  });

  test("one machine at work", async () => {
    attic = await TestMachine.start({
      script: worker,
      repos: ["api", "web"],
      config: { maxPermissionMode: "acceptEdits" },
    });
    process.env["PICTURES_REPO"] = attic.repo("api");
    operator.own(attic);
    connector = await joinOperator(operator, attic);
    await using client = await attic.connect();
    const cursor = await client.now();
    const session = String(
      (
        await client.call("create_session", {
          slug: attic.slug("api"),
          permission_mode: "acceptEdits",
          prompt: "Find out why src/retry.test.ts is flaky, fix it, and run it fifty times.",
        })
      )["session_id"],
    );
    await client.eventsUntil((event) => event["type"] === "permission.requested", cursor, session);
    await page.goto(`${url}/`);
    await page.waitForSelector(".ask");
    await take("overview-one");
    await take("machines-one", "/machines");
    await take("machine", "/machines/attic");
    await take("machine-health", "/machines/attic/health");
    await take("machine-remove", "/machines/attic/remove");
    await take("inbox", "/inbox");
    await page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
    await take("inbox-unfolded");
    await take("notifications-off", "/notifications");
    const { endpoint, keys } = await TestBrowserPush.make("https://push.example.com/a-browser");
    const told = JSON.stringify({ endpoint, keys, zone: "Europe/Berlin" });
    await page.evaluate(`fetch("/notifications/browser", { method: "POST", headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...${told}, csrf: document.querySelector("[name=csrf]").value }) })`);
    await take("notifications", "/notifications");
    await page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
    await page.evaluate("scrollTo(0, document.body.scrollHeight)");
    await take("notifications-end");
    await page.goto(`${url}/notifications`);
    await page.click("summary:has-text('Add one')");
    await page.fill("#receivers input[name=url]", "https://ntfy.sh/danas-machines");
    await page.click("#receivers button:has-text('Add')");
    await page.waitForSelector("#receivers .receiver");
    await page.evaluate("document.querySelector('#receivers').scrollIntoView()");
    await take("notifications-receivers");
    await page.evaluate("document.querySelector('#receivers details').open = true");
    await page.evaluate("document.querySelector('#receivers details').scrollIntoView()");
    await take("notifications-add");
    await page.fill("#receivers input[name=url]", "https://192.168.1.2/not-reachable-from-here");
    await page.click("#receivers input[name=kind][value=webhook]");
    await page.click("#receivers button:has-text('Add')");
    await page.waitForSelector("#added .note:has-text('public')");
    await page.evaluate("document.querySelector('#added').scrollIntoView()");
    await take("notifications-refused");
    await page.goto(`${url}/machines/attic`);
    await page.fill("#manage input[name=name]", "attic-");
    await page.click("#manage button:has-text('Rename')");
    await page.waitForSelector("#manage .note");
    await page.evaluate("document.querySelector('#manage').scrollIntoView()");
    await take("machine-rename-refused");
    await take("consent", await consentAddress());
    await page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
    await take("consent-unfolded");
    await take("consent-wrong", "/oauth/authorize");
    await page.goto(`${url}/account`);
    // Somebody who has signed in a moment ago need not confirm anything, and sees the page only after a wrong password.
    await page.evaluate(CONFIRM);
    await page.waitForSelector(".note");
    await take("confirm-refused");
    await page.goto(`${url}/account`);
    await page.click("text=Invite someone");
    await page.waitForSelector(".big");
    await take("invited");
    await page.goto(`${url}/machines/attic`);
    await page.evaluate("document.querySelector('select[name=approval]').value = 'nothing'");
    await page.click("#approval button");
    await page.waitForURL(/#approval$/);
    await take("inbox-closed", "/inbox");
    await page.goto(`${url}/machines/attic`);
    await page.evaluate("document.querySelector('select[name=approval]').value = 'session'");
    await page.click("#approval button");
    await page.waitForURL(/#approval$/);
    await take("sessions-one", "/sessions");
    await take("session-waiting", `/sessions/attic/${session}`);
    await page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
    await page.evaluate("document.querySelector('[data-stream]').removeAttribute('data-stream')");
    await page.evaluate("scrollTo(0, 0)");
    await take("session-unfolded");
    await take("changes", `/sessions/attic/${session}/changes`);
    await take("session-new", "/sessions/new");
    await take("costs", "/costs");
    await take("audit", "/audit");
    await take("audit-filtered", "/audit?kind=call&machine=attic&outcome=failed");
    await take("audit-wrong", "/audit?since=yesterday");
    await page.goto(`${url}/sessions/attic/${session}`);
    await page.context().setOffline(true);
    await page.waitForSelector("[data-connection]:not([hidden])");
    await take("connection-lost");
    await page.context().setOffline(false);
    await page.goto(`${url}/inbox`);
    await page.click("button[value=deny]");
    await page.waitForSelector(".note:has-text('has taken it')");
    await take("inbox-decided");
    await client.call("abort_session", { session_id: session });
    await connector[Symbol.asyncDispose]();
    await until("attic to be offline", async () =>
      JSON.stringify((await operator.api("GET", "/api/machines")).body).includes('"offline"'),
    );
    await take("machine-offline", "/machines/attic");
    await take("changes-offline", `/sessions/attic/${session}/changes`);
    await take("session-offline", `/sessions/attic/${session}`);
  });

  test("many of everything", async () => {
    const workshop = await Workshop.start();
    operator.own(workshop);
    for (const name of ["laptop", "home-mac", "work-pc"]) await Machine.add(operator, name, workshop.url);
    for (let index = 0; index < 12; index += 1) await register(operator, `build-${index + 1}`);
    const barn = await Machine.add(operator, "barn", workshop.url);
    const verbs = ["Fix", "Explain", "Review", "Speed up", "Write tests for", "Split", "Rename"];
    const things = [
      "the flaky retry test",
      "the session index",
      "the sign-in page",
      "log rotation",
      "the مرحبا greeting",
      "src/a/very/long/path/that/does/not/end/and/goes/on/index.ts",
      "\u202egnp.exe",
    ];
    for (let index = 0; index < 130; index += 1) {
      const session = `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`;
      const atMs = Date.now() - (130 - index) * 900_000;
      const title = `${verbs[index % verbs.length]} ${things[index % things.length]}`;
      barn.push(
        {
          atMs,
          type: "session.created",
          session,
          data: { slug: "-home-ann-src-api", cwd: "/home/ann/src/api", model: "claude-sonnet-5", title },
        },
        {
          atMs: atMs + 1_000,
          type: "message",
          session,
          data: {
            message_id: `m${index}`,
            role: "assistant",
            parts: [{ type: "text", text: `${title}: done, ${index} lines changed.` }],
          },
        },
        index % 9 === 0
          ? { atMs: atMs + 2_000, type: index % 2 === 0 ? "turn.started" : "permission.requested", session, data: {} }
          : {
              atMs: atMs + 2_000,
              type: "session.idle",
              session,
              data: { outcome: "done", result: `${title}: done.`, cost_usd: index / 37 },
            },
      );
    }
    await until("the sessions", async () =>
      JSON.stringify((await operator.api("GET", "/api/machines")).body).includes("barn"),
    );
    await page.goto(`${url}/sessions?machine=barn&q=index`);
    await until("all sessions", async () => {
      await page.goto(`${url}/sessions?machine=barn`);
      return (await page.content()).includes("129") || (await page.content()).includes("rename");
    }).catch(() => undefined);
    await take("overview-many", "/");
    await take("machines-many", "/machines");
    await take("sessions-many", "/sessions");
    await take("sessions-waiting", "/sessions?state=waiting");
    await take("sessions-found", "/sessions?q=greeting");
    await take("sessions-said", "/sessions?q=flaky&said=1");
    await take("account", "/account");
    await take("audit-many", "/audit");
    await take("costs-missing", "/costs");
  });

  test("nothing that axe objects to, and no page that is too wide", () => {
    expect(found).toEqual([]);
  });
});
