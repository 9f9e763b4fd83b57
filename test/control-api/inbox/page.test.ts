import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { BODIES } from "../../attacks/corpus/hostile-text.ts";
import { ask, bearer, Client, csrfIn, directory, PASSWORD, Visitor } from "../sign-in/support/visitor.ts";
import { TestUser } from "../support/operator.ts";
import { asked, questioned, settled, taken } from "./support/asking.ts";

const DECIDE = "POST /operator/decide";

type Person = { visitor: Visitor; user: TestUser; decisions: () => Promise<Record<string, unknown>[]> };

/** A person with a machine, who is signed in with a browser and for whom a script is planned. */
async function person(name = "attic"): Promise<Person> {
  const visitor = await Visitor.invited();
  const app = await (await Client.registered()).signIn(visitor, { scope: "operator:admin mcp:tools" });
  const [id = ""] = app.access_token.split(":");
  const user = new TestUser(id, app.access_token);
  await user.machine(name);
  const decisions = async () =>
    (await user.reached(name)).flatMap(({ path, body }) => (path === "/operator/decide" ? [JSON.parse(body)] : []));
  return { visitor, user, decisions };
}

/** Makes all of the person's proofs of identity older than a quarter of an hour. */
async function later({ user }: Person): Promise<void> {
  await runInDurableObject(directory(), (_, { storage }) => {
    storage.sql.exec("UPDATE session SET proved_ms = proved_ms - 900001 WHERE person = ?", user.id);
  });
}

async function pageOf({ visitor }: Person): Promise<string> {
  return (await visitor.get("/inbox")).text();
}

/** The person's audit log. An entry is written after the answer to what it is about. */
async function auditOf({ user }: Person): Promise<string> {
  return (await user.rest("GET", "/api/audit")).text();
}

function actionIn(page: string): string {
  return /action="(\/inbox\/\d+)"/.exec(page)?.[1] ?? "";
}

describe("the inbox page", () => {
  it("shows a request in full, and allows it with one form", async () => {
    const one = await person();
    await one.user.logs("attic", [asked("r-1", { input: { command: `echo ${"x".repeat(2_000)}; rm -rf build` } })]);
    await one.user.script("attic", { answers: { [DECIDE]: taken("allow") } });
    const page = await pageOf(one);
    expect(page).toContain("May it use <bdi>Bash</bdi>?");
    expect(page).toContain("; rm -rf build");
    const answer = await one.visitor.post(actionIn(page), { csrf: csrfIn(page), behavior: "allow" });
    expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining("has taken it")]);
    expect(await one.decisions()).toEqual([
      { request: "r-1", behavior: "allow", by: expect.stringMatching(/^person-.*, on the inbox page$/) },
    ]);
    await expect.poll(() => auditOf(one)).toContain("permission allowed");
  });

  it("shows a change of a file by line and short fields as a list, whole and with everything invisible written out", async () => {
    const one = await person();
    const lines = Array.from({ length: 12 }, (_, index) => `line ${index}`).join("\n");
    await one.user.logs("attic", [
      asked("r-1", {
        tool: "Edit",
        input: {
          file_path: "/src/a\u202e.ts",
          old_string: `${lines}\nold`,
          new_string: `${lines}\n\tnew\u200b`,
          replace_all: true,
        },
      }),
      asked("r-2", { tool: "Write", input: { file_path: "/src/b.ts", content: "one\n".repeat(3_000) } }),
      asked("r-3", { tool: "Fetch", input: { url: "https://example.com/", nested: { deep: "x\ny" } } }),
    ]);
    const [edit = "", write = "", fetched = ""] = (await pageOf(one)).split('id="ask-').slice(1);
    expect(edit).toContain(String.raw`/src/a\u{202e}.ts`);
    expect(edit).toContain(`<del><b>-</b>old</del><ins><b>+</b>\tnew${String.raw`\u{200b}`}</ins>`);
    // What stays is part of what is asked: every line is there.
    expect(edit.match(/<span class="same">/g)).toHaveLength(12);
    expect(edit).toMatch(/<dt class="exact">replace_all<\/dt><dd class="exact">true<\/dd>/);
    // A line is an element. Of a huge file the text is shown instead, and nothing is cut.
    expect(write).not.toContain("<ins>");
    expect(write.match(/one\n/g)).toHaveLength(3_000);
    expect(fetched).toContain(String.raw`&quot;x\ny&quot;`);
  });

  it("says on every page how many requests wait", async () => {
    const one = await person();
    const countOn = async (path: string): Promise<string> =>
      /class="count">(\d+)</.exec(await (await one.visitor.get(path)).text())?.[1] ?? "none";
    expect(await countOn("/account")).toBe("none");
    await one.user.logs("attic", [asked("r-1"), asked("r-2"), asked("r-3"), settled("r-1")]);
    for (const path of ["/", "/inbox", "/machines", "/sessions", "/connect", "/account"])
      expect(await countOn(path), path).toBe("2");
  });

  it("says when a machine is offline, and never shows a decision as done before it is", async () => {
    const one = await person();
    await one.user.logs("attic", [asked("r-1")]);
    await one.user.script("attic", { fails: { code: "machine_offline", machine: "attic", lastSeenMs: null } });
    const page = await pageOf(one);
    const answer = await (
      await one.visitor.post(actionIn(page), { csrf: csrfIn(page), behavior: "deny", reason: "no" })
    ).text();
    expect(answer).toContain("has not taken it yet");
    expect(answer).toMatch(/Denied by person-[\w-]+, on the inbox page\. The machine has not\s+taken it yet/);
  });

  it("allows something for the session where the agent offers it, with the rules in full, and nothing where it does not", async () => {
    const one = await person();
    const rules = ["Bash(npm test:*)", "Bash(npm run\u202e:*)"];
    await one.user.logs("attic", [asked("r-1", { session_rules: rules }), asked("r-2")]);
    await one.user.script("attic", { answers: { [DECIDE]: taken("allow", { forSession: true }) } });
    const page = await pageOf(one);
    const [first = "", second = ""] = page.split('id="ask-').slice(1);
    expect(first).toContain("Bash(npm test:*)");
    expect(first).toContain(String.raw`Bash(npm run\u{202e}:*)`);
    expect(first).toContain('value="allow-session"');
    expect(second).not.toContain('value="allow-session"');
    // A form that was made up cannot have what was not offered.
    const forged = await one.visitor.post(actionIn(second), { csrf: csrfIn(page), behavior: "allow-session" });
    expect([forged.status, await forged.text()]).toEqual([409, expect.stringContaining("offers nothing to allow")]);
    expect(await one.decisions()).toEqual([]);
    const allowed = await one.visitor.post(actionIn(first), { csrf: csrfIn(page), behavior: "allow-session" });
    expect(await allowed.text()).toContain("Allowed for this session. Machine");
    expect(await one.decisions()).toMatchObject([{ request: "r-1", behavior: "allow", forSession: true }]);
    await expect.poll(() => auditOf(one)).toContain("permission allowed for the session");
  });

  it("offers nothing for the session if a rule is too long, not text, or one of too many", async () => {
    const one = await person();
    const offers = [["x".repeat(301)], ["Bash", 7], [""], Array.from({ length: 11 }, () => "Bash"), "Bash", null];
    await one.user.logs(
      "attic",
      offers.map((session_rules, index) => asked(`r-${index}`, { session_rules })),
    );
    const page = await pageOf(one);
    expect(page.match(/value="allow"/g)).toHaveLength(offers.length);
    expect(page).not.toContain("allow-session");
  });

  it("takes nothing for the session from a program, even one that may answer for the machine", async () => {
    const one = await person();
    await one.user.logs("attic", [asked("r-1", { session_rules: ["Bash(npm test:*)"] })]);
    const form = await one.visitor.fields("/machines/attic");
    await one.visitor.post("/account/approvals/attic", { ...form, allow: "yes" });
    const [, id = ""] = /inbox\/(\d+)/.exec(actionIn(await pageOf(one))) ?? [];
    const body = { behavior: "allow", forSession: true, session_rules: ["Bash"] };
    await one.user.rest("POST", `/api/inbox/${id}`, body);
    const calls = (await one.user.reached("attic"))
      .map(({ body: sent }) => sent)
      .filter((sent) => sent.includes("r-1"));
    expect(calls).not.toEqual([]);
    expect(calls.join("")).not.toContain("forSession");
  });

  it("allows no more for a machine than its person wants pages to allow, and always denies", async () => {
    const one = await person();
    const rules = { session_rules: ["Bash(npm test:*)"] };
    await one.user.logs("attic", [asked("r-1", rules), asked("r-2", rules), asked("r-3", rules)]);
    await one.user.script("attic", { answers: { [DECIDE]: taken("allow") } });
    const set = async (approval: string): Promise<string | null> => {
      const form = await one.visitor.fields("/machines/attic");
      return (await one.visitor.post("/machines/attic/approval", { ...form, approval })).headers.get("location");
    };
    const answer = async (behavior: string): Promise<string> => {
      const page = await pageOf(one);
      return (await one.visitor.post(actionIn(page), { csrf: csrfIn(page), behavior })).text();
    };
    await set("nothing");
    // What would be refused is not offered. Instead the page says why, and where to change it.
    const closed = await pageOf(one);
    expect(closed).not.toContain('value="allow');
    expect(closed).toMatch(/nothing may be allowed for machine attic.*href="\/machines\/attic#approval"/s);
    expect(closed).toContain('value="deny"');
    expect(await answer("allow")).toContain("No requests of machine");
    expect(await answer("allow-session")).toContain("No requests of machine");
    await set("once");
    const single = await pageOf(one);
    expect(single).toContain('value="allow"');
    expect(single).not.toContain('value="allow-session"');
    expect(single).toContain("these pages allow single requests only");
    expect(await answer("allow-session")).toContain("Only single requests of machine");
    expect(await one.decisions()).toEqual([]);
    expect(await answer("allow")).toContain("Allowed. Machine");
    await one.user.script("attic", { answers: { [DECIDE]: taken("deny") } });
    await set("nothing");
    expect(await answer("deny")).toContain("Denied. Machine");
    // To allow more takes a recent sign-in; to allow less does not.
    await later(one);
    expect(await set("once")).toContain("/sign-in/confirm?next=%2Fmachines%2Fattic");
    expect(await set("nothing")).toBe("/machines/attic#approval");
    expect(await set("everything")).toBeNull();
  });

  it("answers a question by an option or in the person's own words", async () => {
    const one = await person();
    await one.user.logs("attic", [questioned("r-1")]);
    const given = { answers: { "Which database?": "none\nat all" } };
    await one.user.script("attic", { answers: { [DECIDE]: taken("allow", given) } });
    const page = await pageOf(one);
    const form = { csrf: csrfIn(page), behavior: "allow" };
    expect((await one.visitor.post(actionIn(page), form)).status).toBe(400);
    const answer = await one.visitor.post(actionIn(page), {
      ...form,
      "answer-0": "SQLite",
      "other-0": "none\r\nat all",
    });
    expect(answer.status).toBe(200);
    expect(await one.decisions()).toMatchObject([{ request: "r-1", behavior: "allow", ...given }]);
  });

  it("tells the sender of a second answer who decided what, and when", async () => {
    const one = await person();
    await one.user.logs("attic", [asked("r-1")]);
    const page = await pageOf(one);
    await one.user.logs("attic", [asked("r-1"), settled("r-1", { behavior: "deny", settled_by: "machine" })]);
    const answer = await one.visitor.post(actionIn(page), { csrf: csrfIn(page), behavior: "allow" });
    expect(answer.status).toBe(409);
    expect(await answer.text()).toMatch(/was denied before, at 20\d\d-.* by somebody at machine &quot;attic&quot;/);
    expect(await one.decisions()).toEqual([]);
  });

  it("asks for a fresh sign-in to allow anything, but not to deny", async () => {
    const one = await person();
    await one.user.logs("attic", [asked("r-1")]);
    await one.user.script("attic", { answers: { [DECIDE]: taken("deny") } });
    await later(one);
    const page = await pageOf(one);
    expect(page).not.toContain('value="allow"');
    const confirm = `/sign-in/confirm?${new URLSearchParams({ next: actionIn(page) })}`;
    expect(page).toContain(confirm);
    const allowed = await one.visitor.post(actionIn(page), { csrf: csrfIn(page), behavior: "allow" });
    expect([allowed.status, allowed.headers.get("location")]).toEqual([303, confirm]);
    expect(await one.decisions()).toEqual([]);
    const csrf = await one.visitor.csrf(confirm);
    const confirmed = await one.visitor.post("/sign-in/confirm", { csrf, next: actionIn(page), password: PASSWORD });
    expect(confirmed.headers.get("location")).toBe(actionIn(page));
    expect(await pageOf(one)).toContain('value="allow"');
    await later(one);
    expect((await one.visitor.post(actionIn(page), { csrf, behavior: "deny" })).status).toBe(200);
    expect(await one.decisions()).toMatchObject([{ behavior: "deny" }]);
  });

  it("refuses a form from another site, with a token, from another person, or without a sign-in", async () => {
    const one = await person();
    await one.user.logs("attic", [asked("r-1")]);
    const page = await pageOf(one);
    const action = actionIn(page);
    const form = { csrf: csrfIn(page), behavior: "allow" };
    const foreign = [
      await one.visitor.post(action, { behavior: "allow" }),
      await one.visitor.post(action, { ...form, csrf: "x" }),
      await one.visitor.post(action, form, { "sec-fetch-site": "cross-site" }),
      await one.visitor.post(action, form, { "sec-fetch-site": "same-site" }),
    ];
    expect(foreign.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
    const { csrf: _, ...withoutCookie } = form;
    const token = (
      await one.user.fetch(action, {
        method: "POST",
        body: new URLSearchParams(withoutCookie),
        headers: { "sec-fetch-site": "same-origin" },
        redirect: "manual",
      })
    ).status;
    expect(token).toBe(303);
    const other = await person();
    const theirs = await other.visitor.post(action, { csrf: await other.visitor.csrf("/account"), behavior: "allow" });
    expect(theirs.status).toBe(404);
    expect((await ask("/inbox", bearer("x"))).headers.get("location")).toBe("/sign-in?next=%2Finbox");
    expect(await one.decisions()).toEqual([]);
  });

  it("cannot be framed, cached or scripted, and shows hostile text as text", async () => {
    const one = await person();
    for (const text of [
      ...BODIES,
      "</pre><script>alert(1)</script>",
      '"><img src=x onerror=alert(1)>',
      "a\u202Eb\u200B\u0000",
    ]) {
      const input = { [text]: text, deep: [[text]] };
      const questions = [{ question: text || "?", options: [{ label: text, description: text }] }];
      const user = one.user;
      await user.logs(
        "attic",
        [
          asked(`a ${text}`.slice(0, 150), { tool: text, why: text, cwd: text, input }),
          asked(`q ${text}`.slice(0, 150), { tool: "AskUserQuestion", input: { questions } }, "question"),
          asked(`p ${text}`.slice(0, 150), { tool: "ExitPlanMode", input: { plan: text } }, "plan"),
        ],
        { epoch: crypto.randomUUID() },
      );
    }
    const response = await one.visitor.get("/inbox");
    const page = await response.text();
    expect(response.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(response.headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
    expect(response.headers.get("cache-control")).toBe("no-store");
    // One script, which is the pages' own.
    expect(page.match(/<script/g)).toHaveLength(1);
    expect(page).not.toMatch(/<img|onerror="|javascript:"/);
    expect(page).not.toMatch(/[\u202A-\u202E\u2066-\u2069\u200B-\u200F]/);
  });
});
