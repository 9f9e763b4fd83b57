// Root cause: a plan was shown without what its approval also allows; a request was in the order of its arrival only, so that one machine
// could fill the page; a client's decision was delivered when its person had withdrawn that permission; a machine's error counted as consent;
// marks piled up over the card above, empty lines moved a command's end away, and right-to-left text moved our own words.
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { messageOf, type OperatorError } from "#protocol/error.ts";
import type { Bearer } from "../../../control-api/src/http/caller.ts";
import { asked, settled, taken } from "../../control-api/inbox/support/asking.ts";
import { ask, Client, csrfIn, directory, Visitor } from "../../control-api/sign-in/support/visitor.ts";
import { env, TestUser } from "../../control-api/support/operator.ts";

const EVERYTHING = { visible: null, machine: null, session: null, state: "waiting", after: null } as const;

type Person = { readonly visitor: Visitor; readonly user: TestUser };

async function person(): Promise<Person> {
  const visitor = await Visitor.invited();
  const app = await (await Client.registered()).signIn(visitor, { scope: "operator:admin mcp:tools" });
  const user = new TestUser(app.access_token.split(":")[0], app.access_token);
  await user.machine("attic");
  await user.machine("cellar");
  return { visitor, user };
}

async function page({ visitor }: Person, path = "/inbox"): Promise<string> {
  return (await visitor.get(path)).text();
}

const actionIn = (html: string): string => /action="(\/inbox\/\d+)"/.exec(html)?.[1] ?? "";

type Item = { id: number; machine: string; request_id: string; state: string; settled?: { behavior: string } };

async function waiting(user: TestUser): Promise<Item[]> {
  return (await user.json<{ pending: Item[] }>("/api/inbox")).pending;
}

/** A person whose machine has asked and is away now. `mayClients`: whether they let clients answer for it. */
async function askedAndAway(mayClients: boolean) {
  const { user } = await person();
  const registry = env.USER.getByName(user.id);
  await user.logs("attic", [asked("r-1")]);
  const [item] = await waiting(user);
  if (mayClients) await registry.setRemoteApproval("attic", true, null);
  await user.script("attic", { fails: { code: "machine_offline", machine: "attic", lastSeenMs: null } });
  return { user, registry, item };
}

describe("what is approved is shown whole", () => {
  test("a plan with the commands that its approval allows", async () => {
    const one = await person();
    const allowedPrompts = [{ tool: "Bash", prompt: "delete every\u202Ebackup" }];
    const input = { plan: "# Tidy up\n\nNothing else.", allowedPrompts };
    await one.user.logs("attic", [asked("r-1", { tool: "ExitPlanMode", input }, "plan")]);
    const html = await page(one);
    expect(html).toContain("# Tidy up\n\nNothing else.");
    expect(html).toContain(String.raw`delete every\u202ebackup`);
  });

  test("a command in the order of its characters, in a box that hides no line", async () => {
    const one = await person();
    const command = `ls${"\n".repeat(200)}rm -rf \u05D0 /`;
    await one.user.logs("attic", [asked("r-1", { input: { command } })]);
    const html = await page(one);
    expect(html).toMatch(
      /<pre class="code wrap exact"[^>]*>ls<span class="cut">… 199 empty lines<\/span>rm -rf \u05D0 \//,
    );
    const style = /href="(\/assets\/style-[^"]+)"/.exec(html)?.[1] ?? "";
    const css = await (await ask(style)).text();
    expect(css).toMatch(/\.exact \{ direction: ltr; unicode-bidi: isolate-override; white-space: pre-wrap; \}/);
    expect(css).toMatch(/\.ask \.code \{[^}]*max-height: none;/);
  });

  test("a file and a question without screens of empty lines between their parts", async () => {
    const one = await person();
    const gap = "\n \t".repeat(300);
    const questions = [{ question: `Go on?${gap}\nOperator: allowed before.`, options: [{ label: "Yes" }] }];
    await one.user.logs("attic", [
      asked("r-1", { tool: "AskUserQuestion", input: { questions } }, "question"),
      asked("r-2", { tool: "Write", session: "s-2", input: { file_path: "a", content: `one${gap}\n\n\n\ntwo` } }),
      asked("r-3", { tool: "Bash", session: "s-3", input: { command: "one\n\n\n\ntwo" } }),
    ]);
    const html = await page(one);
    expect(html).toContain('<bdi>Go on?<span class="cut">… 300 empty lines</span>Operator: allowed before.</bdi>');
    expect(html).toContain('<ins><b>+</b><span class="cut">… 303 empty lines</span></ins>');
    expect(html).toContain("one\n\n\n\ntwo"); // as they stand between paragraphs
  });

  test("or cannot be allowed", async () => {
    const one = await person();
    await one.user.logs("attic", [asked("r-1", { is_whole: false }), asked("r-2", { is_whole: false }, "plan")]);
    const html = await page(one);
    expect(html.match(/value="deny"/g)).toHaveLength(2);
    expect(html).not.toContain('value="allow');
  });

  test("marks, directions and line breaks in names and rules, without any that reach our own words", async () => {
    const one = await person();
    const marks = "\u0301".repeat(400);
    const session_rules = ["Bash(ls)\nBash(rm)"];
    const tool = `\u05D0${"\u0301".repeat(20)}`;
    const cwd = `/\u05D0${marks}`;
    await one.user.logs("attic", [
      { type: "session.created", session: "s-1", data: { slug: "-x", title: `a${marks}` } },
      asked("r-1", { tool, why: `a${marks}`, cwd, session_rules }),
      asked("r-2", { input: { questions: [{ question: `Go${marks}?`, options: [{ label: `a${marks}`, description: `b${marks}` }] }] } }, "question"), // prettier-ignore
      asked("r-3"),
    ]);
    await one.user.script("attic", { fails: { code: "machine_offline", machine: "attic", lastSeenMs: null } });
    const decided = (await waiting(one.user)).at(-1)?.id ?? 0;
    await env.USER.getByName(one.user.id).decide(decided, { behavior: "deny" }, { via: "page", name: `Ann${marks}` });
    // What a form sends back is not shown.
    const html = (await page(one)).replaceAll(/ value="[^"]*"/g, "");
    expect(html).not.toMatch(/\p{M}{5}/u);
    const four = "\u0301".repeat(4);
    for (const shown of ["a", "Go", "b", "Denied by Ann"]) expect(html).toContain(`${shown}${four}\\u{301}`);
    for (const before of ['<a class="of"[^>]*>', "Why it asks: ", "<span>"])
      expect(html).toMatch(new RegExp(`${before}<bdi>a${four}`));
    expect(html).toMatch(/May it use <bdi>\u05D0\u0301{4}(?:\\u\{301\}){16}<\/bdi>\?/);
    expect(html).toMatch(/ · <bdi>\/\u05D0\u0301{4}\\u/);
    // Those who hear the page hear which request a button decides.
    expect(html).toMatch(/<h2 id="(what-\d+)">.*aria-describedby="\1">\s*Deny.*aria-describedby="\1">\s*Allow once/s);
    expect(html).not.toMatch(/<section[^>]* aria-label/); // two landmarks of one name could not be told apart
    expect(html).toContain(String.raw`Bash(ls)\nBash(rm)`);
  });

  test("questions of the same text are not answered here: one answer would count for both", async () => {
    const { user } = await person();
    const questions = [
      { question: "Go on?", options: [{ label: "Yes" }] },
      { question: "Go on?", options: [{ label: "No" }] },
    ];
    await user.logs("attic", [asked("r-1", { tool: "AskUserQuestion", input: { questions } }, "question")]);
    const [item] = await waiting(user);
    const verdict = { behavior: "allow", answers: { "Go on?": "Yes" } } as const;
    const decided = await env.USER.getByName(user.id).decide(item?.id ?? 0, verdict, { via: "page", name: "Ann" });
    expect(decided).toMatchObject({ code: "invalid_request" });
  });
});

describe("a machine that asks without end", () => {
  test("leaves room on the pages for what the others ask", async () => {
    const one = await person();
    const flood = Array.from({ length: 120 }, (_, index) =>
      asked(`f-${index}`, { input: { command: "x".repeat(20_000) } }),
    );
    await one.user.logs("attic", flood, { pageRows: 30 });
    await one.user.logs("cellar", [asked("r-1", { input: { command: "make precious" } })]);
    for (const path of ["/inbox", "/"]) {
      const html = await page(one, path);
      expect(html).toContain("make precious");
      expect(html.length).toBeLessThan(1_000_000);
    }
    // Programs page through all of them, in the order of their arrival.
    expect((await waiting(one.user)).every(({ machine }) => machine === "attic")).toBe(true);
  });
});

describe("who decides", () => {
  test("a client's decision does not reach a machine that is back after its person withdrew the permission", async () => {
    const { user, registry, item } = await askedAndAway(true);
    await user.rest("POST", `/api/inbox/${item?.id}`, { behavior: "allow" });
    expect(await waiting(user)).toMatchObject([{ state: "deciding" }]);
    await registry.setRemoteApproval("attic", false, null);
    await user.script("attic");
    expect(await registry.decide(item?.id ?? 0, { behavior: "allow" }, { via: "client", name: "again" })).toMatchObject(
      {
        code: "forbidden",
      },
    );
    expect(await waiting(user)).toMatchObject([{ state: "waiting" }]);
    const calls = (await user.reached("attic")).filter(({ path }) => path === "/operator/call");
    // The first one, which found it away.
    expect(calls).toHaveLength(1);
  });

  test("a page's decision does not reach a machine that is back after its person closed the pages for it", async () => {
    const { user, registry, item } = await askedAndAway(false);
    const by = { via: "page", name: "stolen browser" } as const;
    await registry.decide(item?.id ?? 0, { behavior: "allow" }, by);
    expect(await waiting(user)).toMatchObject([{ state: "deciding" }]);
    await registry.setPageApproval("attic", "nothing", true, null);
    await user.script("attic");
    expect(await registry.decide(item?.id ?? 0, { behavior: "allow" }, by)).toMatchObject({ code: "forbidden" });
    expect(await waiting(user)).toMatchObject([{ state: "waiting" }]);
  });

  test("a client's decision does not reach a machine that is back after the client's token has expired", async () => {
    const { user, registry, item } = await askedAndAway(true);
    const expiresMs = Date.now() + 60 * 60_000;
    const made = await user.rest("POST", "/api/tokens", { label: "short", scopes: ["mcp:tools"], expiresMs });
    const { id, token }: { id: string; token: string } = await made.json();
    await new TestUser(user.id, token).rest("POST", `/api/inbox/${item?.id}`, { behavior: "allow" });
    expect(await waiting(user)).toMatchObject([{ state: "deciding" }]);
    await runInDurableObject(env.USER.getByName(user.id) as unknown as DurableObjectStub, (_, { storage }) =>
      storage.sql.exec("UPDATE access_token SET expires_ms = 1 WHERE id = ?", id),
    );
    await user.script("attic");
    const again = { via: "client", name: "again" } as const;
    expect(await registry.decide(item?.id ?? 0, { behavior: "allow" }, again)).toMatchObject({ code: "forbidden" });
    expect(await waiting(user)).toMatchObject([{ state: "waiting" }]);
  });

  type Revoked = { bearer: Bearer; allow: (id: number) => Promise<unknown>; revoke: () => Promise<unknown> };

  async function byToken({ user }: Person): Promise<Revoked> {
    const { id, token }: { id: string; token: string } = await (
      await user.rest("POST", "/api/tokens", { label: "stolen", scopes: ["mcp:tools"] })
    ).json();
    const thief = new TestUser(user.id, token);
    return {
      bearer: `token:${id}`,
      allow: (item) => thief.rest("POST", `/api/inbox/${item}`, { behavior: "allow" }),
      revoke: () => user.rest("DELETE", `/api/tokens/${id}`),
    };
  }

  async function byApp({ visitor, user }: Person): Promise<Revoked> {
    const { access_token: token } = await (await Client.registered()).signIn(visitor, { scope: "mcp:tools" });
    const [, id = ""] = token.split(":");
    const thief = new TestUser(user.id, token);
    return {
      bearer: `grant:${id}`,
      allow: (item) => thief.rest("POST", `/api/inbox/${item}`, { behavior: "allow" }),
      revoke: async () => visitor.post(`/account/grants/${id}`, { csrf: await visitor.csrf("/account") }),
    };
  }

  async function inBrowser({ visitor, user }: Person): Promise<Revoked> {
    const [one] = await directory().sessions(user.id);
    return {
      bearer: `browser:${one?.id ?? ""}`,
      allow: async (item) =>
        visitor.post(`/inbox/${item}`, { csrf: await visitor.csrf("/account"), behavior: "allow" }),
      revoke: async () => visitor.post("/account/browsers", { csrf: await visitor.csrf("/account") }),
    };
  }

  test.each([
    ["token", byToken],
    ["app", byApp],
    ["browser", inBrowser],
  ])("a decision that waits for its machine is taken back when the %s is revoked that made it", async (_, made) => {
    const one = await person();
    const registry = env.USER.getByName(one.user.id);
    await one.user.logs("attic", [asked("r-1")]);
    const [item] = await registry.inbox(EVERYTHING).then((found) => found?.items ?? []);
    await registry.setRemoteApproval("attic", true, null);
    await one.user.script("attic", { fails: { code: "machine_offline", machine: "attic", lastSeenMs: null } });
    const { bearer, allow, revoke } = await made(one);
    await allow(item?.id ?? 0);
    const decision = async () => (await registry.inboxItem(null, item?.id ?? 0))?.decision ?? null;
    expect(await decision()).toMatchObject({ behavior: "allow", by: { bearer } });
    await revoke();
    expect(await decision()).toBeNull();
    // Its request that is under way then decides nothing either.
    const late = { via: "client", name: "late", bearer } as const;
    expect(await registry.decide(item?.id ?? 0, { behavior: "allow" }, late)).toEqual({ code: "unauthorized" });
  });

  test("a decision that waits for its machine stays with an app that is allowed again", async () => {
    const { visitor, user } = await person();
    const registry = env.USER.getByName(user.id);
    await user.logs("attic", [asked("r-1")]);
    const [item] = await waiting(user);
    await registry.setRemoteApproval("attic", true, null);
    await user.script("attic", { fails: { code: "machine_offline", machine: "attic", lastSeenMs: null } });
    const client = await Client.registered();
    const signIn = async () => (await client.signIn(visitor, { scope: "mcp:tools" })).access_token;
    await new TestUser(user.id, await signIn()).rest("POST", `/api/inbox/${item?.id}`, { behavior: "allow" });
    const [, now = ""] = (await signIn()).split(":");
    const { decision } = (await registry.inboxItem(null, item?.id ?? 0)) ?? {};
    expect(decision).toMatchObject({ by: { bearer: `grant:${now}` } });
  });

  test("a machine whose server knows no such tool has taken nothing", async () => {
    const { user } = await person();
    await user.logs("attic", [asked("r-1")]);
    const error = { code: -32_602, message: "Unknown tool: respond_permission" };
    await user.script("attic", {
      answers: {
        "POST /operator/decide": { status: 404, body: JSON.stringify({ code: "no_serve", error: "x" }) },
        "tools/call respond_permission": {
          body: JSON.stringify({ jsonrpc: "2.0", id: "1", error }),
          headers: { "content-type": "application/json" },
        },
      },
    });
    const [item] = await waiting(user);
    const decided = await env.USER.getByName(user.id).decide(
      item?.id ?? 0,
      { behavior: "deny" },
      { via: "page", name: "Ann" },
    );
    expect(decided).toEqual({ code: "forbidden", reason: "Unknown tool: respond_permission" });
    expect(await waiting(user)).toMatchObject([{ state: "waiting" }]);
  });

  test("a machine settles its own requests only, whatever ids it uses", async () => {
    const { user } = await person();
    await user.logs("attic", [asked("r-1"), asked("__proto__")]);
    await user.logs("cellar", [
      { type: "permission.resolved", session: "s-1", data: { request_id: "r-1", behavior: "allow" } },
      { type: "session.idle", session: "s-1" },
    ]);
    expect((await waiting(user)).map((one) => `${one.machine} ${one.request_id}`)).toEqual([
      "attic r-1",
      "attic __proto__",
    ]);
  });

  test("a machine cannot have Operator fail by the time at which it settled a request", async () => {
    const { user } = await person();
    await user.logs("attic", [asked("r-1")], { answers: { "POST /operator/decide": taken("deny", { atMs: 1e300 }) } });
    const [item] = await waiting(user);
    const object = env.USER.getByName(user.id);
    const by = { via: "page", name: "Ann" } as const;
    expect(await object.decide(item?.id ?? 0, { behavior: "allow" }, by)).toMatchObject({ code: "already_decided" });
    const again = await object.decide(item?.id ?? 0, { behavior: "allow" }, by);
    expect(() => messageOf(again as OperatorError)).not.toThrow();
  });

  test("a machine cannot claim that its person decided on a page", async () => {
    const one = await person();
    const claim = { settled_by: "operator", who: "ann, on the inbox page" };
    await one.user.logs("attic", [asked("r-1"), settled("r-1", claim)]);
    const html = await page(one);
    expect(html).toContain("allowed by somebody on a page of another Operator, as machine &quot;attic&quot; says: ann");
    expect(html).not.toContain("by ann, on the inbox page");
  });

  test("a form of before the history was deleted decides nothing, and its number is never used again", async () => {
    const one = await person();
    await one.user.logs("attic", [asked("r-1")]);
    const before = await page(one);
    await one.user.rest("DELETE", "/api/history?machine=attic");
    await one.user.logs("cellar", [asked("r-1", { input: { command: "shutdown" } })]);
    await one.user.script("cellar", { answers: { "POST /operator/decide": taken("allow") } });
    const answer = await one.visitor.post(actionIn(before), { csrf: csrfIn(before), behavior: "allow" });
    expect(answer.status).toBe(404);
    expect(actionIn(await page(one))).not.toBe(actionIn(before));
    expect((await one.user.reached("cellar")).filter(({ path }) => path === "/operator/decide")).toEqual([]);
  });
});
