import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createContext, runInContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { SERVICE_WORKER, SERVICE_WORKER_PATH } from "../../control-api/src/push/service-worker.ts";
import { Chromium, hasChromium } from "./support/browser.ts";

type Heard = { waitUntil(work: Promise<unknown>): void };
type Shown = { title: string; options: { body: string; tag?: string; data: { path: string } } };

const ORIGIN = "https://operator.example";

/** The service worker in a world of its own, in which the test is the browser. */
class World {
  readonly shown: Shown[] = [];
  readonly opened: string[] = [];
  readonly focused: string[] = [];
  readonly heard = new Map<string, (event: Heard & Record<string, unknown>) => void>();

  constructor(windows: readonly string[] = []) {
    const clients = {
      matchAll: async () => windows.map((url) => ({ url, focus: async () => void this.focused.push(url) })),
      openWindow: async (url: string) => void this.opened.push(url),
    };
    const registration = {
      showNotification: async (title: string, options: Shown["options"]) => void this.shown.push({ title, options }),
    };
    const addEventListener = (type: string, hear: (event: Heard & Record<string, unknown>) => void) =>
      this.heard.set(type, hear);
    runInContext(
      SERVICE_WORKER,
      createContext({ addEventListener, registration, clients, URL, location: { origin: ORIGIN } }),
    );
  }

  async happens(type: string, event: Record<string, unknown>): Promise<void> {
    const works: Promise<unknown>[] = [];
    this.heard.get(type)?.({ ...event, waitUntil: (work) => works.push(work) });
    await Promise.all(works);
  }

  async push(text: string | null): Promise<Shown | undefined> {
    await this.happens("push", { data: text === null ? null : { json: () => JSON.parse(text) } });
    return this.shown.at(-1);
  }

  async tap(data: unknown): Promise<void> {
    await this.happens("notificationclick", { notification: { close: () => undefined, data } });
  }
}

test("the service worker does nothing but show what is pushed and open its page", () => {
  expect([...new World().heard.keys()].toSorted()).toEqual(["activate", "install", "notificationclick", "push"]);
});

test("a pushed notification is shown with its path, and replaces an earlier one about the same", async () => {
  const told = { title: "attic asks for permission", body: "api", tag: "ask-7", path: "/inbox/7" };
  expect(await new World().push(JSON.stringify(told))).toMatchObject({
    title: told.title,
    options: { body: "api", tag: "ask-7", data: { path: "/inbox/7" } },
  });
});

test("an old service worker shows something for whatever a newer Operator sends", async () => {
  for (const text of [null, "not JSON", "null", "7", "[]", "{}", '{"v":2,"heading":"?"}'])
    expect(await new World().push(text), String(text)).toMatchObject({
      title: "Operator has news for you",
      options: { data: { path: "/" } },
    });
});

test("a tap opens the page, or goes to the window that shows it, and never leaves this Operator", async () => {
  const world = new World([`${ORIGIN}/inbox/7`, `${ORIGIN}/`]);
  await world.tap({ path: "/inbox/7" });
  await world.tap({ path: "/inbox/8" });
  for (const path of ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example"])
    await world.tap({ path });
  await world.tap(null);
  expect(world.focused.slice(0, 1)).toEqual([`${ORIGIN}/inbox/7`]);
  expect(world.opened).toEqual([`${ORIGIN}/inbox/8`]);
  expect(world.focused.slice(1)).toEqual(Array.from({ length: 5 }, () => `${ORIGIN}/`));
});

/** The service worker of an earlier release, which knows nothing of what is pushed today and does not ask to be replaced at once. */
const OLD = `addEventListener("push", (event) => event.waitUntil(registration.showNotification("old", { data: { path: "/old" } })));`;

describe.skipIf(!hasChromium())("in a browser", () => {
  test("an old service worker is replaced while its page is open, and the next push is shown by the new one", async () => {
    let current = OLD;
    await using server = createServer(({ url }, response) => {
      const isWorker = url === SERVICE_WORKER_PATH;
      response.setHeader("content-type", isWorker ? "text/javascript" : "text/html");
      response.end(isWorker ? current : "<!doctype html><title>A page</title>");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://localhost:${(server.address() as AddressInfo).port}`;
    await using chromium = await Chromium.start();
    const context = await chromium.person();
    await context.grantPermissions(["notifications"], { origin: url });
    const page = await context.newPage();
    await page.goto(url);
    const register = `navigator.serviceWorker.register("${SERVICE_WORKER_PATH}", { updateViaCache: "none" })`;
    await page.evaluate(`${register}.then(() => navigator.serviceWorker.ready).then(() => true)`);
    current = SERVICE_WORKER;
    // As the notifications page does, and as browsers do by themselves at a visit. The worker that comes is in charge without a reload.
    await page.evaluate(`(async () => {
      const { promise, resolve } = Promise.withResolvers();
      navigator.serviceWorker.addEventListener("controllerchange", resolve);
      await ${register}.then((registration) => registration.update());
      await promise;
    })()`);
    const cdp = await context.newCDPSession(page);
    await cdp.send("ServiceWorker.enable");
    const data = JSON.stringify({ title: "attic asks for permission", body: "api", tag: "ask-7", path: "/inbox/7" });
    await cdp.send("ServiceWorker.deliverPushMessage", { origin: url, registrationId: "0", data });
    const shown = await page.evaluate<string[]>(`(async () => {
      const registration = await navigator.serviceWorker.ready;
      for (;;) {
        const [one] = await registration.getNotifications();
        if (one) return [one.title, one.data.path];
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })()`);
    expect(shown).toEqual(["attic asks for permission", "/inbox/7"]);
  });
});
