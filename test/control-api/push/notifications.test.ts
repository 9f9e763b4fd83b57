import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { asked, questioned, settled } from "../inbox/support/asking.ts";
import { pageOf, somebody, textOf } from "../pages/support/person.ts";
import { env } from "../support/operator.ts";
import { TestBrowserPush, vapidClaims } from "../../support/push-service.ts";
import { subscribe, Subscribed } from "./support/subscribed.ts";

const objectOf = ({ person }: Subscribed) => env.WEBHOOKS.getByName(person.user.id);

const named = { type: "session.created", session: "s-1", data: { slug: "api", title: "Fix the flaky test" } };

/** Lets everything that waits for its next attempt be due now, as if the time had passed. */
async function passTime(one: Subscribed): Promise<void> {
  await runInDurableObject(objectOf(one), (_, { storage }) => {
    storage.sql.exec("UPDATE delivery SET next_ms = 0 WHERE dead_ms IS NULL");
  });
  await runDurableObjectAlarm(objectOf(one));
}

/** How many messages wait for a browser, as soon as the object has done what it was told. */
function waiting(one: Subscribed): Promise<number> {
  return runInDurableObject(
    objectOf(one),
    (_, { storage }) => storage.sql.exec<{ n: number }>("SELECT count(*) AS n FROM delivery").one().n,
  );
}

const clock = (ms: number): string => new Date(ms).toISOString().slice(11, 16);

describe("a notification", () => {
  test("names machine, project and session, and nothing that is asked; a tap opens the very request", async () => {
    const one = await Subscribed.make();
    await one.person.user.logs("attic", [named, asked("r-1"), asked("r-2", { input: { command: "cat secret" } })]);
    const [first, second] = await one.shown(2);
    expect(first).toEqual({
      title: "attic asks for permission",
      body: "api · Fix the flaky test",
      tag: expect.stringMatching(/^ask-\d+$/),
      path: expect.stringMatching(/^\/inbox\/\d+$/),
    });
    expect(JSON.stringify(second)).not.toContain("secret");
    const page = await pageOf(one.person, second?.path ?? "");
    expect(page.indexOf("cat secret")).toBeGreaterThan(0);
    expect(page.indexOf("cat secret")).toBeLessThan(page.indexOf("rm -rf build"));
  });

  test("reaches the push service encrypted, signed, urgent, with a time limit and a topic", async () => {
    const one = await Subscribed.make();
    await one.person.user.logs("attic", [asked("r-1")]);
    const [message] = await one.service.received(1);
    const { authorization = "", ...headers } = message?.headers ?? {};
    expect(headers).toMatchObject({
      "content-encoding": "aes128gcm",
      "content-type": "application/octet-stream",
      urgency: "high",
      topic: expect.stringMatching(/^[\w-]{32}$/),
    });
    expect(Number(headers["ttl"])).toBeGreaterThan(3_500);
    expect(Number(headers["ttl"])).toBeLessThanOrEqual(3_600);
    expect(message?.url).toBe(one.push.endpoint);
    const { aud, exp, key } = await vapidClaims(authorization);
    expect(aud).toBe(new URL(one.push.endpoint).origin);
    expect(exp * 1_000).toBeGreaterThan(Date.now());
    expect(await objectOf(one).pushKey(one.person.user.id)).toBe(key);
    expect(atob(message?.body ?? "")).not.toContain("attic");
  });

  test("shows what is asked if its person chose that, without characters that hide something", async () => {
    const one = await Subscribed.make();
    expect((await one.choose({ "topic-asked": "yes", machine: "attic", content: "yes" })).status).toBe(200);
    const command = `echo \u202e${"x".repeat(1_000)}`;
    await one.person.user.logs("attic", [named, asked("r-1", { input: { command } }), questioned("r-2")]);
    const [first, second] = await one.shown(2);
    expect(first?.body).toMatch(/^api · Fix the flaky test\nBash: echo \\u\{202e\}x+…$/);
    expect(second?.body).toBe("api · Fix the flaky test\nWhich database?");
  });

  test("tells of a finished turn, and opens its session", async () => {
    const one = await Subscribed.make();
    await one.person.user.logs("attic", [
      named,
      { type: "turn.completed", session: "s-1", data: { outcome: "completed", result: "All tests pass, token 123" } },
    ]);
    expect(await one.shown(1)).toEqual([
      {
        title: "attic has finished a turn",
        body: "api · Fix the flaky test",
        tag: "attic/s-1",
        path: "/sessions/attic/s-1",
      },
    ]);
  });

  test("is not sent for what somebody has decided by then", async () => {
    const one = await Subscribed.make();
    await one.person.user.logs("attic", [asked("r-1"), settled("r-1"), asked("r-2")]);
    const [only, ...more] = await one.shown(1);
    expect([await one.shown(1), more]).toEqual([[only], []]);
    const page = textOf(await pageOf(one.person, only?.path ?? ""));
    expect(page).toContain("1 waiting");
    expect(page).not.toContain("is decided");
  });
});

describe("a notification that waits", () => {
  test("is about the request and the session of its computer, and of no other that has its name and ids by then", async () => {
    const one = await Subscribed.make();
    const { user } = one.person;
    const hour = 3_600_000;
    const quiet = { from: clock(Date.now() - hour), until: clock(Date.now() + hour) };
    const all = { "topic-asked": "yes", "topic-failed": "yes", content: "yes" };
    await one.choose({ ...all, machine: "attic", ...quiet });
    await user.logs("attic", [named, asked("r-1", { input: { command: "of the former" } })]);
    await expect.poll(() => waiting(one)).toBe(1);
    await user.register("attic", { identity: "identity-of-another", replace: true });
    const former = { type: "message", session: "s-1" };
    await user.logs("attic", [former, former, asked("r-1", { input: { command: "of another" } })]);
    await expect.poll(() => waiting(one)).toBe(2);
    await one.choose({ ...all, machine: "attic" });
    await expect.poll(() => waiting(one)).toBe(0);
    expect((await one.shown(1)).map(({ body }) => body)).toEqual([expect.stringContaining("of another")]);
    expect(await one.service.received(1)).toHaveLength(1);
  });

  test("names the session of its computer, although another has its name by then and a session of the same id", async () => {
    const one = await Subscribed.make();
    const { user } = one.person;
    await one.choose({ "topic-failed": "yes", machine: "attic" });
    await one.service.plan({ status: 503 });
    const failed = { type: "session.error", session: "s-1", data: {} };
    await user.logs("attic", [named, failed]);
    await one.service.received(1);
    await expect.poll(() => pageOf(one.person, "/notifications")).toContain("did not arrive: it failed (HTTP 5xx)");
    await user.register("attic", { identity: "identity-of-another", replace: true });
    await user.logs("attic", [named, failed, { ...named, data: { slug: "web", title: "Of another" } }]);
    await one.service.plan({ status: 201 });
    await passTime(one);
    expect((await one.shown(2)).map(({ body }) => body)).toEqual(Array(2).fill("api · Fix the flaky test"));
  });
});

describe("a link to a request", () => {
  test("that was used before, or forwarded to somebody else, approves nothing", async () => {
    const one = await Subscribed.make();
    await one.person.user.logs("attic", [asked("r-1")]);
    const path = (await one.shown(1))[0]?.path ?? "";
    for (const tap of [1, 2])
      expect(textOf(await pageOf(one.person, path)), String(tap)).toMatch(/May it use Bash ?\?/);
    const stranger = await somebody();
    const foreign = await stranger.browser.get(path);
    expect([foreign.status, await foreign.text()]).toEqual([404, expect.not.stringContaining("Bash")]);
    const csrf = await stranger.browser.csrf("/notifications");
    expect((await stranger.browser.post(path, { csrf, behavior: "allow" })).status).toBe(404);
    // Without the token of the person's own session, not even their own browser decides.
    expect((await one.person.browser.post(path, { behavior: "allow", csrf })).status).toBe(403);
    const reached = await one.person.user.reached("attic");
    expect(reached.filter(({ path: at }) => at === "/operator/decide")).toEqual([]);
    await one.person.user.logs("attic", [asked("r-1"), settled("r-1", { behavior: "deny" })]);
    expect(textOf(await pageOf(one.person, path))).toMatch(/Bash on attic is decided: denied by/);
  });

  test("leads to the sign-in page without a session, and from there to the request", async () => {
    const one = await Subscribed.make();
    one.person.browser.cookies.clear();
    const response = await one.person.browser.get("/inbox/7");
    expect([response.status, response.headers.get("location")]).toEqual([303, "/sign-in?next=%2Finbox%2F7"]);
    expect(await (await one.person.browser.get("/sign-in?next=%2Finbox%2F7")).text()).toContain('value="/inbox/7"');
  });
});

describe("a browser's settings", () => {
  test("choose the types and machines that it is told of", async () => {
    const one = await Subscribed.make();
    await one.person.user.machine("cellar");
    await one.person.user.logs("cellar", []);
    await one.choose({ "topic-failed": "yes", machine: "cellar" });
    await one.person.user.logs("attic", [{ type: "session.error", session: "a", data: {} }]);
    await one.person.user.logs("cellar", [asked("r-1"), { type: "session.error", session: "c", data: {} }]);
    expect((await one.shown(1)).map(({ title, path }) => [title, path])).toEqual([
      ["cellar had a session fail", "/sessions/cellar/c"],
    ]);
    const page = await pageOf(one.person, "/notifications");
    expect(page).toMatch(/name="machine" value="cellar:\w+" checked/);
    expect(page).not.toMatch(/name="machine" value="attic:\w+" checked/);
  });

  test("mute a computer and not its name, and no computer that the page did not show", async () => {
    const one = await Subscribed.make();
    const { user } = one.person;
    const failed = (session: string) => ({ type: "session.error", session, data: {} });
    const passTo = (identity: string) => user.register("attic", { identity, replace: true });
    const stale = await pageOf(one.person, "/notifications");
    await one.choose({ "topic-failed": "yes" });
    await passTo("identity-of-another");
    await user.logs("attic", [failed("of-another")]);
    expect((await one.shown(1)).map(({ path }) => path)).toEqual(["/sessions/attic/of-another"]);
    expect(await pageOf(one.person, "/notifications")).toMatch(/name="machine" value="attic:\w+" checked/);
    await one.send(stale, { "topic-failed": "yes" });
    await user.logs("attic", [failed("of-another"), failed("still-told")]);
    expect((await one.shown(2)).at(-1)?.path).toBe("/sessions/attic/still-told");
    await passTo("identity-of-attic");
    expect(await pageOf(one.person, "/notifications")).not.toMatch(/name="machine" value="attic:\w+" checked/);
    await user.logs("attic", [failed("of-another"), failed("still-told"), failed("muted")]);
    await one.choose({ "topic-failed": "yes", machine: "attic" });
    await user.logs("attic", [failed("of-another"), failed("still-told"), failed("muted"), failed("heard")]);
    expect((await one.shown(3)).map(({ path }) => path)).toEqual(
      ["of-another", "still-told", "heard"].map((session) => `/sessions/attic/${session}`),
    );
  });

  test("keep what an earlier release muted by names, each machine as soon as its computer is known", async () => {
    const one = await Subscribed.make();
    const { user } = one.person;
    for (const name of ["barn", "cellar"]) await user.machine(name);
    const computerOfBarn = (identity: string) =>
      runInDurableObject(env.USER.getByName(user.id), (_, { storage }) => {
        storage.sql.exec("UPDATE machine SET identity = ? WHERE name = 'barn'", identity);
      });
    await computerOfBarn(""); // as in a list that was rebuilt
    await runInDurableObject(objectOf(one), (_, { storage }) => {
      storage.sql.exec(`UPDATE subscription SET by_names = 1,
        push = json_remove(json_set(push, '$.muted', json('["attic","barn"]')), '$.mutedNames')`);
    });
    const muted = async () => (await objectOf(one).overview()).subscriptions[0]?.push?.muted.toSorted();
    expect(await muted()).toEqual(["attic", "barn"]);
    await one.choose({ "topic-failed": "yes", machine: "attic" });
    expect((await subscribe(one.person, one.push)).status).toBe(200);
    expect(await muted()).toEqual(["barn", "cellar"]);
    await computerOfBarn("identity-of-barn");
    expect(await muted()).toEqual(["barn", "cellar"]);
    await user.register("barn", { identity: "identity-of-another", replace: true });
    expect(await muted()).toEqual(["cellar"]);
  });

  test("hold back requests in quiet hours until they end, and leave out the rest", async () => {
    const one = await Subscribed.make();
    const hour = 3_600_000;
    const quiet = { from: clock(Date.now() - hour), until: clock(Date.now() + hour) };
    const all = { "topic-asked": "yes", "topic-failed": "yes", machine: "attic" };
    await one.choose({ ...all, ...quiet });
    await one.person.user.logs("attic", [
      asked("r-1"),
      { type: "session.error", session: "s-9", data: {} },
      asked("r-2"),
    ]);
    await passTime(one);
    await expect.poll(() => waiting(one)).toBe(2);
    expect(await one.service.received(0)).toEqual([]);
    await one.person.user.logs("attic", [
      asked("r-1"),
      { type: "session.error", session: "s-9", data: {} },
      asked("r-2"),
      settled("r-1"),
    ]);
    await one.choose(all);
    const shown = await one.shown(1);
    expect(shown.map(({ title }) => title)).toEqual(["attic asks for permission"]);
    expect(textOf(await pageOf(one.person, shown[0]?.path ?? ""))).toContain("1 waiting");
    await expect.poll(() => waiting(one)).toBe(0);
  });

  test("belong to their person: nobody else can change, try or remove them", async () => {
    const one = await Subscribed.make();
    const stranger = await somebody();
    const csrf = await stranger.browser.csrf("/notifications");
    for (const path of ["", "/test"])
      expect((await stranger.browser.post(`/notifications/${one.id}${path}`, { csrf })).status).toBe(404);
    await stranger.browser.post(`/notifications/${one.id}/remove`, { csrf });
    expect(await pageOf(one.person, "/notifications")).toContain("Turn off");
    expect((await one.person.browser.post(`/notifications/${one.id}/remove`, {})).status).toBe(403);
  });
});

describe("a browser's subscription", () => {
  test("is tried out, and turned off", async () => {
    const one = await Subscribed.make();
    expect(await (await one.post(`/notifications/${one.id}/test`)).text()).toContain("It arrives in a moment");
    expect(await one.shown(1)).toMatchObject([
      { title: "Notifications from Operator arrive here", path: "/notifications" },
    ]);
    await one.post(`/notifications/${one.id}/remove`);
    expect(await pageOf(one.person, "/notifications")).toContain("Turn on notifications");
  });

  test.each([404, 410])("is removed when its push service answers %i", async (status) => {
    const one = await Subscribed.make();
    await one.service.plan({ status });
    await one.person.user.logs("attic", [asked("r-1")]);
    await one.service.received(1);
    await expect.poll(() => pageOf(one.person, "/notifications")).toContain("Turn on notifications");
    await expect.poll(() => waiting(one)).toBe(0);
  });

  test("stays when its push service fails for a time, and the notification is repeated", async () => {
    const one = await Subscribed.make();
    await one.service.plan({ status: 503 });
    await one.person.user.logs("attic", [asked("r-1")]);
    await one.service.received(1);
    await expect.poll(() => pageOf(one.person, "/notifications")).toContain("did not arrive: it failed (HTTP 5xx)");
    await one.service.plan({ status: 201 });
    await passTime(one);
    expect(await one.service.received(2)).toHaveLength(2);
  });

  test("ends when its browser is signed out", async () => {
    const person = await somebody();
    await person.user.machine("attic");
    await person.user.logs("attic", []);
    const one = await Subscribed.make(person);
    await person.browser.post("/sign-out", { csrf: await person.browser.csrf("/account") });
    await expect.poll(async () => (await objectOf(one).overview()).subscriptions).toEqual([]);
  });

  test("is one for each browser: a renewed one replaces the one before, and keeps to the same session", async () => {
    const one = await Subscribed.make();
    const renewed = await Subscribed.make(one.person);
    expect(renewed.id).not.toBe(one.id);
    const { subscriptions } = await objectOf(one).overview();
    expect(subscriptions.map(({ id }) => id)).toEqual([renewed.id]);
  });

  test("that is turned on again keeps its settings", async () => {
    const one = await Subscribed.make();
    await one.choose({ "topic-presence": "yes", content: "yes" });
    expect((await subscribe(one.person, one.push)).status).toBe(200);
    const page = await pageOf(one.person, "/notifications");
    expect(page).toMatch(/name="topic-presence" value="yes" checked/);
    expect(page).toMatch(/name="content" value="yes" checked/);
    expect(page).not.toMatch(/name="topic-asked" value="yes" checked/);
  });

  test("cannot lead into a private network, to Operator itself, or over plain HTTP", async () => {
    const one = await somebody();
    const { keys } = await TestBrowserPush.make("https://unused.example");
    for (const endpoint of [
      "https://127.0.0.1/push",
      "https://10.0.0.1/push",
      "https://[::ffff:10.0.0.1]/push",
      "https://0x7f000001/push",
      "https://router.lan/push",
      "https://localhost/push",
      "http://push.hooks.example/push",
      "https://user:password@push.hooks.example/push",
      "file:///etc/passwd",
      "javascript:alert(1)",
      "not an address",
    ]) {
      const response = await subscribe(one, { endpoint, keys });
      expect([endpoint, response.status]).toEqual([endpoint, 400]);
    }
  });

  test("is not sent to where its push service redirects", async () => {
    const [one, elsewhere] = [await Subscribed.make(), await Subscribed.make()];
    await one.service.plan({ status: 307, headers: { location: elsewhere.push.endpoint } });
    await one.person.user.logs("attic", [asked("r-1")]);
    await one.service.received(1);
    await expect.poll(() => pageOf(one.person, "/notifications")).toContain("did not arrive");
    expect(await elsewhere.service.received(0)).toEqual([]);
  });

  test("needs valid keys, a time zone, and a page of our own", async () => {
    const one = await somebody();
    const push = await TestBrowserPush.make("https://push.hooks.example/one");
    expect((await subscribe(one, { ...push, endpoint: push.endpoint, keys: { p256dh: "x", auth: "y" } })).status).toBe(
      400,
    );
    expect((await subscribe(one, push, { zone: "Mars/Olympus" })).status).toBe(400);
    expect((await subscribe(one, push, { keys: 7 })).status).toBe(400);
    expect((await subscribe(one, push, { csrf: "wrong" })).status).toBe(403);
    expect((await subscribe(one, push, {}, { "sec-fetch-site": "cross-site" })).status).toBe(403);
  });

  test("shows nobody its address, which only the sender needs", async () => {
    const one = await Subscribed.make();
    const seen =
      JSON.stringify(await one.person.user.json("/api/webhooks")) + (await pageOf(one.person, "/notifications"));
    expect(seen).not.toContain("/in?key=1");
    const stored = await runInDurableObject(objectOf(one), (_, { storage }) => {
      const rows = storage.sql.exec("SELECT secret FROM subscription").toArray();
      return JSON.stringify([rows, storage.kv.get("vapid")]);
    });
    expect(stored).not.toContain(one.push.keys.auth);
    expect(stored).not.toContain("privateKey");
  });
});
