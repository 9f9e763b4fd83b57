import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FLEET_HTML } from "../../control-api/src/mcp/apps/fleet-html.ts";
import { Chromium, hasChromium, type Page } from "./support/browser.ts";
import { until } from "./support/eventually.ts";

/** A client that renders views: it answers what the view asks, and keeps what it was sent. */
const HOST = `
  window.sent = [];
  window.answers = ANSWERS;
  addEventListener("message", ({ data, source }) => {
    sent.push(data);
    if (data.method === "ui/initialize") source.postMessage({ jsonrpc: "2.0", id: data.id, result: {
      protocolVersion: "2026-01-26", hostInfo: { name: "test", version: "1" }, hostCapabilities: { serverTools: {}, openLinks: {} }, hostContext: { theme: "dark" } } }, "*");
    if (data.method === "tools/call") source.postMessage({ jsonrpc: "2.0", id: data.id, result: { structuredContent: answers[data.params.name] } }, "*");
    if (data.method === "ui/open-link") source.postMessage({ jsonrpc: "2.0", id: data.id, result: {} }, "*");
  });
  const frame = document.createElement("iframe");
  frame.sandbox = "allow-scripts";
  frame.srcdoc = VIEW;
  document.body.append(frame);
`;

describe.skipIf(!hasChromium())("the view of the fleet, in a client's sandbox", () => {
  let chromium: Chromium;
  beforeAll(async () => {
    chromium = await Chromium.start();
  });
  afterAll(() => chromium[Symbol.asyncDispose]());

  async function shown(answers: object, says: string): Promise<{ page: Page; text: () => Promise<string> }> {
    const page = await (await chromium.person()).newPage();
    await page.goto("about:blank");
    // A function, so that a `$` in the view is no pattern of the replacement.
    const host = HOST.replace("ANSWERS", () => JSON.stringify(answers)).replace("VIEW", () =>
      JSON.stringify(FLEET_HTML),
    );
    await page.evaluate(host);
    const text = async (): Promise<string> =>
      (await page.frames().at(-1)?.evaluate<string>("document.body?.innerText ?? ''")) ?? "";
    // Nothing can be read from a frame in the moment in which it loads.
    await until(`the view to say ${says}`, async () => (await text().catch(() => "")).includes(says));
    return { page, text };
  }

  test("shows machines and what waits as text, whatever they are called, and opens Operator's page to decide", async () => {
    const machines = [
      {
        name: "attic",
        status: "online",
        facts: { hostname: "<img src=x onerror=parent.postMessage('x','*')>", os: "linux" },
      },
      { name: "barn", status: "offline", lastSeenMs: 1 },
    ];
    const command = "rm -rf \u202e/tmp <script>top.sent.push('hostile')</script>";
    const pending = [{ kind: "permission", machine: "attic", tool: "Bash", title: "Fix it", input: { command } }];
    const answers = {
      list_machines: { machines },
      list_pending: { pending, answer_at: "https://operator.example/inbox" },
    };
    const { page, text } = await shown(answers, "1 of 2 machines online");
    const said = await text();
    expect(said).toContain("1 decision waits for you");
    expect(said).toContain(String.raw`rm -rf \u{202e}/tmp <script>`);
    expect(said).toContain("<img src=x");
    const view = page.frames().at(-1);
    expect(await view?.evaluate<string>("document.documentElement.dataset.theme")).toBe("dark");
    expect(await view?.evaluate<number>("document.querySelectorAll('img, main script').length")).toBe(0);
    await view?.evaluate("document.querySelector('button').click()");
    await until("the client to be asked for the page", async () =>
      (await page.evaluate<string>("JSON.stringify(sent)")).includes('"ui/open-link"'),
    );
    const sent = await page.evaluate<{ method?: string; params?: object }[]>("sent");
    expect(sent.find(({ method }) => method === "ui/open-link")?.params).toEqual({
      url: "https://operator.example/inbox",
    });
    // It reads and nothing else: no call that decides.
    const called = sent.flatMap(({ method, params }) => (method === "tools/call" ? [params] : []));
    expect(called).toEqual(["list_pending", "list_machines"].map((name) => ({ name, arguments: {} })));
  });

  test("says what is not there, and stays up whatever it is told", async () => {
    const { text } = await shown(
      { list_machines: { machines: [null, 1, {}] }, list_pending: { pending: [] } },
      "Nothing waits",
    );
    expect(await text()).toContain("machines online");
  });
});
