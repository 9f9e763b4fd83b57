import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MachineEvent } from "../../../control-api/src/events/poll.ts";
import { heardOf } from "../../../control-api/src/pages/session-events.ts";
import { offeredIn } from "../sign-in/support/visitor.ts";
import { pageOf, type Somebody, somebody, textOf } from "./support/person.ts";

const JSON_TYPE = { "content-type": "application/json" };

function answers(tool: string, structuredContent: object, isError = false) {
  const result = { content: [], structuredContent, ...(isError ? { isError } : {}) };
  return { [`tools/call ${tool}`]: { headers: JSON_TYPE, body: JSON.stringify({ jsonrpc: "2.0", id: "1", result }) } };
}

const about = {
  session_id: "s1",
  title: "Fix the flaky test",
  status: "live",
  model: "claude-sonnet-5",
  cost_usd: 0.42,
};

/** A session as `get_session` of `codez serve` tells it. */
function told(messages: readonly object[], more: object = {}) {
  return answers("get_session", { session: about, messages, cursor: null, pending_permissions: [], ...more });
}

async function withSession(plan: object): Promise<Somebody> {
  const alice = await somebody();
  await alice.user.machine("attic", plan);
  await alice.user.logs("attic", [{ session: "s1", type: "session.created", data: { title: "Fix the flaky test" } }]);
  await alice.user.script("attic", plan);
  return alice;
}

const call = (input: unknown, tool = "Bash") => ({ type: "tool_use", tool_use_id: "t1", tool, input });

describe("a session's page", () => {
  test("shows the conversation as its machine has it: prose, code, calls with their results, changes by line", async () => {
    const edit = { file_path: "src/a.ts", old_string: "one\ntwo\nthree", new_string: "one\n2\nthree" };
    const alice = await withSession({
      answers: told([
        { message_id: "m1", role: "user", at_ms: 1, parts: [{ type: "text", text: "Fix it" }] },
        {
          message_id: "m2",
          role: "assistant",
          parts: [
            { type: "text", text: "## Plan\n\n- look\n- **change** `a.ts`\n\n```ts\nconst a = 1;\n```" },
            call({ command: "npm test" }),
          ],
        },
        {
          message_id: "m3",
          role: "user",
          parts: [{ type: "tool_result", tool_use_id: "t1", is_error: true, text: "1 failed" }],
        },
        { message_id: "m4", role: "assistant", parts: [{ ...call(edit, "Edit"), tool_use_id: "t2" }] },
      ]),
    });
    const page = await pageOf(alice, "/sessions/attic/s1");
    expect(page).toContain("<h2><bdi>Plan</bdi></h2>");
    expect(page).toContain("<strong>change</strong>");
    expect(page).toMatch(/<pre class="code"[^>]*><span class="k">const<\/span> a = <span class="n">1<\/span>;<\/pre>/);
    expect(page).toMatch(/<details class="tool" id="tool-t1">.*npm test.*failed.*1 failed.*<\/details>/s);
    expect(page).toMatch(
      /<span class="same"><b> <\/b>one<\/span><del><b>-<\/b>two<\/del><ins><b>\+<\/b><span class="n">2<\/span><\/ins><span class="same"><b> <\/b>three<\/span>/,
    );
    // The result stands in its call, and not a second time as a message of its own.
    expect(page.match(/1 failed/g)).toHaveLength(1);
    expect(textOf(page)).toContain("$0.42");
  });

  test("shows a request that waits with the whole command, and where it is answered", async () => {
    const command = `echo ${"a".repeat(3_000)} && rm -rf \u202e/tmp`;
    const alice = await withSession({
      answers: told([], { pending_permissions: [{ tool: "Bash", input: { command } }] }),
    });
    const page = await pageOf(alice, "/sessions/attic/s1");
    expect(page).toContain("a".repeat(3_000));
    expect(textOf(page)).toContain(String.raw`\u{202e} /tmp`);
    expect(textOf(page)).toContain("codez permissions");
  });

  test("shows what its agent has said and not written down yet, once, and nothing older that is not written", async () => {
    const said = (id: string, parts: object[]) => ({
      session: "s1",
      type: "message",
      data: { message_id: id, role: "assistant", parts },
    });
    const text = (of: string) => [{ type: "text", text: of }];
    const transcript = told([
      { message_id: "m1", role: "user", at_ms: 1, parts: text("the question") },
      { message_id: "m2", role: "assistant", at_ms: 2, parts: text("the first half") },
    ]);
    const alice = await withSession({ answers: transcript });
    await alice.user.logs(
      "attic",
      [
        said("command", text("never written")),
        said("m1", text("the question")),
        said("m2", text("the first half")),
        said("m3", [...text("the second half"), { type: "image", media_type: "image/png" }]),
      ],
      { epoch: "f", answers: transcript },
    );
    const page = await pageOf(alice, "/sessions/attic/s1");
    expect([...page.matchAll(/id="m-(\w+)"/g)].map(([, id]) => id)).toEqual(["m1", "m2", "m3"]);
    expect(page).toMatch(/id="m-m3" data-later="true".*the second half.*shown in a moment/s);
    expect(page).not.toContain("never written");
  });

  test("of a machine that is away shows what the log has, says so, and takes no prompt", async () => {
    const alice = await somebody();
    await alice.user.machine("attic");
    const messages = Array.from({ length: 60 }, (_, index) => ({
      session: "s1",
      type: "message",
      data: { message_id: `m${index}`, role: "assistant", parts: [{ type: "text", text: `line ${index}.` }] },
    }));
    await alice.user.logs("attic", messages);
    await alice.user.script("attic", { fails: { code: "machine_offline", machine: "attic", lastSeenMs: 1 } });
    await alice.user.report("attic", { online: false, position: { epoch: "e", seq: 60 } });
    const page = await pageOf(alice, "/sessions/attic/s1");
    const text = textOf(page);
    expect(text).toContain("line 59.");
    expect(text).toContain("line 20.");
    expect(text).not.toContain("line 19.");
    expect(text).toContain("what Operator saw");
    expect(page).not.toContain("<textarea");
    const [, older = ""] = /href="([^"]*cursor=log-[^"#]*)/.exec(page) ?? [];
    const before = textOf(await pageOf(alice, older.replaceAll("&amp;", "&")));
    expect(before).toContain("line 19.");
    expect(before).toContain("line 0.");
    expect(before).not.toContain("line 20.");
  });

  test("of a machine that was removed is still there", async () => {
    const alice = await somebody();
    await alice.user.machine("attic");
    await alice.user.logs("attic", [
      { session: "s1", type: "message", data: { role: "user", parts: [{ type: "text", text: "remember me" }] } },
    ]);
    await alice.user.rest("DELETE", "/api/machines/attic");
    expect(textOf(await pageOf(alice, "/sessions"))).toMatch(/remember me.*Machine removed/);
    expect(textOf(await pageOf(alice, "/sessions/attic/s1"))).toContain("This machine was removed");
  });

  test("of somebody else, and of a session that nobody knows, is not there", async () => {
    const [alice, bob] = [await withSession({ answers: told([]) }), await somebody()];
    expect((await bob.browser.get("/sessions/attic/s1")).status).toBe(404);
    expect((await bob.browser.get("/sessions/attic/s1/stream")).status).toBe(404);
    const csrf = await bob.browser.csrf("/account");
    expect((await bob.browser.post("/sessions/attic/s1/prompt", { csrf, text: "x" })).status).toBe(404);
    expect(textOf(await pageOf(bob, "/sessions"))).not.toContain("flaky");
    expect((await alice.browser.get("/sessions/nowhere/s1")).status).toBe(404);
  });
});

describe("a prompt from the page", () => {
  test("reaches the machine once, even if the form is sent twice, and only from the form", async () => {
    const alice = await withSession({ answers: { ...told([]), ...answers("send_prompt", { status: "running" }) } });
    const page = await pageOf(alice, "/sessions/attic/s1");
    const [, key = ""] = /name="key" value="([^"]+)"/.exec(page) ?? [];
    const form = { ...(await alice.browser.fields("/sessions/attic/s1")), key, text: "go on" };
    for (let time = 0; time < 2; time += 1) {
      const sent = await alice.browser.post("/sessions/attic/s1/prompt", form);
      expect([sent.status, sent.headers.get("location")]).toEqual([303, "/sessions/attic/s1"]);
    }
    expect((await alice.browser.post("/sessions/attic/s1/prompt", { ...form, csrf: "" })).status).toBe(403);
    const prompts = (await alice.user.reached("attic")).filter(({ body }) => body.includes("send_prompt"));
    const sent = prompts.map(({ body }) => JSON.parse(body).params.arguments as { key: string; text: string });
    expect(sent).toEqual([{ session_id: "s1", text: "go on", key }]);
  });

  test("that the machine refuses is not lost: the page says why and still has the text", async () => {
    const error = { code: "session_busy", message: "It is <i>busy</i>.", retryable: true };
    const alice = await withSession({ answers: { ...told([]), ...answers("send_prompt", { error }, true) } });
    const form = await alice.browser.fields("/sessions/attic/s1");
    const refused = await alice.browser.post("/sessions/attic/s1/prompt", { ...form, text: "long <b>text</b>" });
    expect(refused.status).toBe(409);
    const page = await refused.text();
    expect(page).not.toContain("<i>busy");
    expect(textOf(page)).toContain("It is &lt;i&gt;busy");
    expect(page).toContain("long &lt;b&gt;text&lt;/b&gt;</textarea>");
  });
});

describe("the list of sessions", () => {
  test("filters by state, machine and words, and goes through thousands page by page", async () => {
    const alice = await somebody();
    await alice.user.machine("attic");
    const events = Array.from({ length: 130 }, (_, index) => ({
      session: `s${index}`,
      type: index % 10 === 0 ? "permission.requested" : "session.updated",
      atMs: 1_000 + index,
      data: { title: `Task number ${index}` },
    }));
    await alice.user.logs(
      "attic",
      events.flatMap((event) => [{ ...event, type: "session.created" }, event]),
    );
    const seen = new Set<string>();
    let path: string | null = "/sessions";
    for (let pages = 0; path !== null && pages < 10; pages += 1) {
      const page: string = await pageOf(alice, path);
      expect(page.length).toBeLessThan(100_000);
      for (const [, id = ""] of page.matchAll(/href="\/sessions\/attic\/(s\d+)"/g)) seen.add(id);
      path = /href="([^"]*before=[^"]*)"[^>]*>Older/.exec(page)?.[1]?.replaceAll("&amp;", "&") ?? null;
    }
    expect(seen.size).toBe(130);
    const waiting = await pageOf(alice, "/sessions?state=waiting");
    expect(waiting.match(/href="\/sessions\/attic\/s\d+"/g)).toHaveLength(13);
    expect(textOf(await pageOf(alice, "/sessions?q=number+77"))).toContain("Task number 77");
    expect(textOf(await pageOf(alice, "/sessions?machine=barn"))).toContain("No sessions yet");
  });
});

describe("what a machine sends", () => {
  /** Markup, scripts, directions, and what else has broken a page somewhere. */
  const hostile = fc.oneof(
    fc.constantFrom(
      "<script>alert(1)</script>",
      "<img src=x onerror=alert(1)>",
      "</pre></details></article><form action=https://evil.test><input name=csrf>",
      '" onmouseover=alert(1) x="',
      "javascript:alert(1)",
      "<!--",
      "]]>",
      "\u202egpj.exe\u202c",
      "\u2066hidden\u2069",
      "a\u0000b\u001b[31m",
      "```\n<b>",
      "**" + "a".repeat(50),
      "`".repeat(500),
      `${"# ".repeat(200)}x`,
      "a\u0301".repeat(3) + "\u0301".repeat(300),
      "\ud800",
      "&lt;b&gt;",
      "\u{e0041}\u{e0042}",
    ),
    fc.string({ unit: "binary", maxLength: 200 }),
  );
  const { input } = fc.letrec((tie) => ({
    input: fc.oneof(
      { depthSize: "small" },
      hostile,
      fc.double(),
      fc.constant(null),
      fc.array(tie("input"), { maxLength: 4 }),
      fc.dictionary(hostile, tie("input"), { maxKeys: 4 }),
    ),
  }));
  const part = fc.oneof(
    fc.record({ type: fc.constantFrom("text", "thinking"), text: hostile }),
    fc.record({ type: fc.constant("tool_use"), tool_use_id: hostile, tool: hostile, input }),
    fc.record({
      type: fc.constant("tool_use"),
      tool: hostile,
      input: fc.record({ old_string: hostile, new_string: hostile, file_path: hostile }),
    }),
    fc.record({ type: fc.constant("tool_result"), tool_use_id: hostile, text: hostile, is_error: fc.boolean() }),
    fc.record({ type: fc.constant("image"), media_type: hostile }),
    input,
  );
  const message = fc.record({
    message_id: hostile,
    role: fc.oneof(fc.constantFrom("user", "assistant"), hostile),
    at_ms: fc.oneof(fc.double(), fc.integer(), hostile),
    parts: fc.oneof(fc.array(part, { maxLength: 6 }), input),
  });

  /** What is wrong with a page as markup: elements and attributes that no page of ours has, and characters that mislead. */
  function faultsOf(page: string): string[] {
    const tags = [...page.matchAll(/<\/?([a-z][a-z0-9]*)((?:\s+[a-z-]+(?:="[^"]*")?)*)\s*\/?>/gi)];
    const known =
      /^(html|head|meta|title|link|script|body|a|nav|ul|ol|li|svg|circle|path|rect|span|main|p|div|h1|h2|h3|b|em|bdi|pre|code|strong|details|summary|article|section|del|ins|time|form|input|textarea|button|label|img)$/i;
    return [
      ...tags.flatMap(([whole, name = ""]) => (known.test(name) && name !== "img" ? [] : [whole])),
      ...tags.flatMap(([whole, , attributes = ""]) => (/\s(?:on\w+|style|srcdoc)=/i.test(attributes) ? [whole] : [])),
      // A `<` that begins no tag of ours is markup that was not escaped.
      ...[
        ...page
          .replaceAll(/<!doctype html>/g, "")
          .replaceAll(/<\/?[a-z][a-z0-9]*(?:\s+[a-z-]+(?:="[^"]*")?)*\s*\/?>/gi, "")
          .matchAll(/<[^\s]{0,20}/g),
      ].map(([one]) => one),
      ...[...page.matchAll(/(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/gu)].map(([one]) =>
        JSON.stringify(one),
      ),
    ];
  }

  test("is text on the page, whatever it is", async () => {
    const alice = await withSession({});
    await fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 8 }), hostile, async (messages, title) => {
        const answer = told(messages, { session: { ...about, title, model: title } });
        await alice.user.script("attic", { answers: answer });
        const page = await pageOf(alice, "/sessions/attic/s1");
        expect(faultsOf(page)).toEqual([]);
        expect(page.length).toBeLessThan(1_000_000);
      }),
      { numRuns: 60 },
    );
  });

  test("is bounded: huge texts, deep values and any number of parts cost a page of bounded size", async () => {
    const deep = JSON.parse(`${"[".repeat(3_000)}1${"]".repeat(3_000)}`);
    const messages = [
      { message_id: "a", role: "assistant", parts: [{ type: "text", text: "x".repeat(400_000) }] },
      { message_id: "b", role: "assistant", parts: [call(deep), call({ command: "y".repeat(300_000) })] },
      {
        message_id: "c",
        role: "assistant",
        parts: Array.from({ length: 500 }, () => ({ type: "text", text: "\u200b".repeat(100) })),
      },
      { message_id: "d", role: "assistant", parts: [{ type: "text", text: "\n\n- a".repeat(20_000) }] },
    ];
    const alice = await withSession({ answers: told(messages) });
    const page = await pageOf(alice, "/sessions/attic/s1");
    expect(page.length).toBeLessThan(600_000);
    expect(textOf(page)).toContain("… and 384000 more characters");
    expect(textOf(page)).toContain("… and 440 more parts");
  });

  test("too much of it, or nonsense, is an error that the page explains", async () => {
    for (const body of [
      "[]",
      "not json",
      JSON.stringify({ jsonrpc: "2.0", id: "1", error: { code: 1, message: "<b>no</b>" } }),
    ]) {
      const alice = await withSession({ answers: { "tools/call get_session": { headers: JSON_TYPE, body } } });
      const page = await pageOf(alice, "/sessions/attic/s1");
      expect(page).not.toContain("<b>no");
      expect(textOf(page)).toContain("what Operator saw");
    }
  });
});

describe("the stream of a session's page", () => {
  async function read(alice: Somebody, path: string, until: RegExp): Promise<string> {
    const response = await alice.browser.get(path);
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    let text = "";
    for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += piece;
      if (until.test(text)) break; // leaving the loop cancels the stream
    }
    return text;
  }

  test("brings messages as escaped HTML, from a cursor on and resumable, and only this session's", async () => {
    const alice = await withSession({ answers: told([]) });
    const page = await pageOf(alice, "/sessions/attic/s1");
    const [, after = ""] = /data-after="([^"]+)"/.exec(page) ?? [];
    const say = (session: string, text: string) => ({
      session,
      type: "message",
      data: { message_id: text, role: "assistant", parts: [{ type: "text", text }] },
    });
    await alice.user.logs("attic", [
      { session: "s1", type: "session.created", data: {} },
      say("s1", "first <b>"),
      say("s2", "elsewhere"),
      say("s1", "second"),
    ]);
    const heard = await read(alice, `/sessions/attic/s1/stream?after=${after}`, /second/);
    expect(heard).toContain("first &lt;b&gt;");
    expect(heard).not.toContain("elsewhere");
    const [, id = ""] = /id: (\S+)/.exec(heard) ?? [];
    const resumed = await read(alice, `/sessions/attic/s1/stream?after=${id}`, /second/);
    expect(resumed).not.toContain("first");
  });

  test("begins again after a gap when the cursor belongs to a log that is gone", async () => {
    const alice = await withSession({ answers: told([]) });
    const heard = await read(alice, "/sessions/attic/s1/stream?after=ffffffff-1", /event: cursor/);
    expect(heard).toMatch(/^event: gap\n/);
  });

  test("ends with a sentence for the page when the machine and its history are gone, and does not ask again and again", async () => {
    const alice = await withSession({ answers: told([]) });
    const response = await alice.browser.get("/sessions/attic/s1/stream");
    await alice.user.rest("DELETE", "/api/machines/attic");
    await alice.user.rest("DELETE", "/api/history?machine=attic");
    const heard = await new Response(response.body).text();
    expect(heard).toMatch(/event: end\ndata: .*attic/);
  });

  test("ends with a sentence for the page when another computer has the machine's name, and tells nothing of it", async () => {
    const alice = await withSession({ answers: told([]) });
    const [, after = ""] = /data-after="([^"]+)"/.exec(await pageOf(alice, "/sessions/attic/s1")) ?? [];
    const response = await alice.browser.get("/sessions/attic/s1/stream");
    await alice.user.register("attic", { identity: "identity-of-another", replace: true });
    const parts = [{ type: "text", text: "of another" }];
    const message = { session: "s1", type: "message", data: { message_id: "m", role: "assistant", parts } };
    await alice.user.logs("attic", [message, message, message]);
    // One that was open, and one of a page that was hidden meanwhile.
    for (const stream of [response, await alice.browser.get(`/sessions/attic/s1/stream?after=${after}`)]) {
      const heard = await new Response(stream.body).text();
      expect(heard).toMatch(/event: end\ndata: The name "attic" belongs to another machine now/);
      expect(heard).not.toContain("of another");
    }
  });

  test("ends when the browser is signed out, wherever that is done", async () => {
    const alice = await withSession({ answers: told([]) });
    const response = await alice.browser.get("/live");
    const reader = response.body?.getReader();
    await reader?.read();
    await alice.browser.post("/account/browsers", { csrf: await alice.browser.csrf("/account") });
    let isOver = false;
    while (!isOver) isOver = (await reader?.read())?.done ?? true;
    expect(isOver).toBe(true);
  });
});

describe("images", () => {
  const PNG = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0]);
  const inBase64 = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes));
  const image = (more: object) => ({ type: "image", media_type: "image/png", ...more });

  test("of a conversation are shown if they are of a safe kind and not too large", async () => {
    const parts = [
      image({ handle: "10.0", total_chars: 4_000 }),
      image({ handle: "11.0", total_chars: 4_000_000 }),
      image({ handle: "12.0", total_chars: 10, media_type: "image/svg+xml" }),
      image({}),
      image({ handle: '"><b>', total_chars: 10 }),
    ];
    const alice = await withSession({ answers: told([{ message_id: "m1", role: "user", parts }]) });
    const page = await pageOf(alice, "/sessions/attic/s1");
    expect(page.match(/<img[^>]*src="([^"]*)"/g)).toHaveLength(1);
    expect(page).toContain('src="/sessions/attic/s1/image?handle=10.0"');
    expect(page.match(/which stays on the machine/g)).toHaveLength(4);
  });

  test("of a message that has just come are announced, and those of no safe kind are not", () => {
    const arrived = (more: object, id: unknown = "m1"): string => {
      const data = { message_id: id, role: "user", parts: [image(more)] };
      const event = { type: "message", data, atMs: 1, machine: "attic", session: "s1" } as unknown as MachineEvent;
      return heardOf(event, () => "/part")[0]?.data ?? "";
    };
    expect(arrived({})).toMatch(/<article[^>]*id="m-m1"[^>]*data-later.*shown in a moment/s);
    for (const html of [arrived({ media_type: "image/svg+xml" }), arrived({}, "no id: <b>")]) {
      expect(html).not.toContain("data-later");
      expect(html).toContain("stays on the machine");
    }
  });

  test("and prompts that an agent has just taken have a place under the id that the transcript will have", () => {
    const taken = (turn: unknown) => {
      const event = { type: "turn.started", data: { turn_id: turn }, atMs: 1, machine: "attic", session: "s1" };
      return heardOf(event as unknown as MachineEvent, () => "/part");
    };
    expect(taken("3f2a-1")).toEqual([
      { event: "message", data: expect.stringMatching(/<article[^>]*id="m-3f2a-1"[^>]*data-later="prompt"/) },
      { event: "state", data: "" },
    ]);
    for (const turn of ["<b>", null, 7]) expect(taken(turn)).toEqual([{ event: "state", data: "" }]);
  });

  test("are sent as what their bytes are, in a document that may run nothing", async () => {
    const alice = await withSession({
      answers: answers("get_session", { part: { media_type: "text/html", data: inBase64(PNG) } }),
    });
    const response = await alice.browser.get("/sessions/attic/s1/image?handle=10.0");
    expect(response.headers.get("content-type")).toBe("image/png");
    expect(response.headers.get("content-security-policy")).toBe("default-src 'none'; sandbox");
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    expect(response.headers.get("cross-origin-resource-policy")).toBe("same-origin");
    expect(response.headers.get("cache-control")).toMatch(/^private, /);
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(PNG);
    expect((await (await somebody()).browser.get("/sessions/attic/s1/image?handle=10.0")).status).toBe(404);
  });

  test.each([
    ["markup that is called an image", btoa("<svg onload=alert(1)>")],
    ["what is no Base64", "%%%"],
    ["RIFF that is no WebP", btoa("RIFFxxxxWAVEfmt ")],
    ["nothing", null],
  ])("are not shown if they are %s", async (_, data) => {
    const alice = await withSession({ answers: answers("get_session", { part: { media_type: "image/png", data } }) });
    expect((await alice.browser.get("/sessions/attic/s1/image?handle=10.0")).status).toBe(404);
  });

  async function send(alice: Somebody, files: readonly File[], text = "look"): Promise<Response> {
    const form = new FormData();
    const page = await pageOf(alice, "/sessions/attic/s1");
    form.set("csrf", /name="csrf" value="([^"]+)"/.exec(page)?.[1] ?? "");
    form.set("machine", /name="machine" value="([^"]+)"/.exec(page)?.[1] ?? "");
    form.set("key", /name="key" value="([^"]+)"/.exec(page)?.[1] ?? "");
    form.set("text", text);
    for (const file of files) form.append("files", file);
    return alice.browser.post("/sessions/attic/s1/prompt", form);
  }

  async function prompts(alice: Somebody): Promise<{ attachments?: object[]; key?: string }[]> {
    const reached = (await alice.user.reached("attic")).filter(({ body }) => body.includes("send_prompt"));
    return reached.map(({ body }) => JSON.parse(body).params.arguments as object);
  }

  test("go with a prompt, under the kind that their bytes tell, whatever the browser calls them", async () => {
    const alice = await withSession({ answers: { ...told([]), ...answers("send_prompt", { status: "running" }) } });
    const sent = await send(alice, [
      new File([PNG], "screen\u202e.exe", { type: "application/x-evil" }),
      new File([], ""),
    ]);
    expect(sent.status).toBe(303);
    const [prompt] = await prompts(alice);
    expect(prompt?.attachments).toEqual([
      { media_type: "image/png", data: inBase64(PNG), name: String.raw`screen\u{202e}.exe` },
    ]);
    expect(prompt?.key).toBeTruthy();
  });

  test("that are too large for a call with a key go without one, and larger ones, other kinds or too many are refused", async () => {
    const alice = await withSession({ answers: { ...told([]), ...answers("send_prompt", { status: "running" }) } });
    const photo = (bytes: number) => new File([PNG, new Uint8Array(bytes)], "photo.png");
    expect((await send(alice, [photo(900_000)])).status).toBe(303);
    expect((await prompts(alice)).at(-1)).not.toHaveProperty("key");
    for (const [files, said] of [
      [[photo(5 * 1024 * 1024)], "5 MB together"],
      [[new File(["<svg/>"], "a.svg", { type: "image/svg+xml" })], "a.svg is no PNG"],
      [Array.from({ length: 5 }, () => photo(1)), "takes 4 files"],
    ] as const) {
      const response = await send(alice, files, "keep what I typed");
      expect(response.status).toBe(409);
      const page = await response.text();
      expect(page).toContain(said);
      expect(page).toContain("keep what I typed");
    }
    expect(await prompts(alice)).toHaveLength(1);
  });
});

describe("what a session changed", () => {
  const file = { path: "src/a.ts", status: "modified", additions: 1, deletions: 1, diff: "@@ -1 +1 @@\n-one\n+two\n" };
  const changes = (files: readonly unknown[], more: object = {}) => ({
    ...told([]),
    ...answers("get_changes", { repository: "/home/ann/api", files, total: files.length, commits: 2, ...more }),
  });

  test("is shown by file and line, and the session's page leads there", async () => {
    const alice = await withSession({ answers: changes([file]) });
    expect(await pageOf(alice, "/sessions/attic/s1")).toContain('href="/sessions/attic/s1/changes"');
    const page = await pageOf(alice, "/sessions/attic/s1/changes");
    expect(page).toContain('<span class="hunk">@@ -1 +1 @@</span><del><b>-</b>one</del><ins><b>+</b>two</ins>');
    expect(textOf(page)).toMatch(/1 file, \+1 −1 , 2 commits · in \/home\/ann\/api/);
  });

  test("says what is missing: a diff that is cut, a binary file, files that are not listed", async () => {
    const files = [
      { ...file, diff_cut_bytes: 5_000 },
      { path: "logo.png", status: "added", additions: null, deletions: null, binary: true },
      { path: "new name", old_path: "old name", status: "renamed", additions: 0, deletions: 0 },
      { path: "run.sh", status: "modified", additions: 0, deletions: 0, mode: "100644 to 100755" },
    ];
    const alice = await withSession({ answers: changes(files, { total: 400, total_is_minimum: true }) });
    const page = await pageOf(alice, "/sessions/attic/s1/changes");
    expect(page).toContain('href="/sessions/attic/s1/changes?path=src%2Fa.ts"');
    const text = textOf(page);
    for (const said of [
      "At least 400 files",
      "5000 more bytes",
      "A binary file",
      "Before: old name",
      "100644 to 100755",
      "396 more files",
    ])
      expect(text).toContain(said);
    await pageOf(alice, "/sessions/attic/s1/changes?path=src%2Fa.ts");
    const asked = (await alice.user.reached("attic")).filter(({ body }) => body.includes("get_changes"));
    expect(JSON.parse(asked.at(-1)?.body ?? "").params.arguments).toEqual({ session_id: "s1", path: "src/a.ts" });
  });

  test.each([
    [{ repository: null, files: [], total: 0 }, "Not a git repository"],
    [{ repository: "/r", files: [], total: 0 }, "Nothing changed"],
    [{ nothing: true }, "cannot be read"],
  ])("can be nothing, and then the page says why: %j", async (answer, said) => {
    const alice = await withSession({ answers: { ...told([]), ...answers("get_changes", answer) } });
    expect(textOf(await pageOf(alice, "/sessions/attic/s1/changes"))).toContain(said);
  });

  test("cannot disguise itself or break the page, whatever the names and diffs are", async () => {
    const text = fc.oneof(
      fc.string({ unit: "binary", maxLength: 60 }),
      fc.constantFrom(
        "<script>alert(1)</script>",
        '"><img src=x onerror=y>',
        "\u202etxt.exe",
        "@@",
        "+".repeat(5_000),
        "\n".repeat(9_000),
      ),
    );
    const hostile = fc.record(
      {
        path: text,
        old_path: text,
        status: text,
        mode: text,
        diff: text,
        additions: fc.anything(),
        diff_cut_bytes: fc.anything(),
      },
      { requiredKeys: ["path"] },
    );
    const alice = await withSession({ answers: told([]) });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(hostile, fc.anything()), { maxLength: 8 }), async (files) => {
        await alice.user.script("attic", { answers: changes(files) });
        const page = await pageOf(alice, "/sessions/attic/s1/changes");
        expect(page).not.toMatch(/<script>|<img|onerror=y>|\u202e/);
        expect(page.length).toBeLessThan(3_000_000);
      }),
      { numRuns: 30 },
    );
  });
});

describe("a session that is started from the page", () => {
  const projects = [{ slug: "-home-ann-src-api", path: "/home/ann/src/api" }];
  const facts = {
    hostname: "h",
    os: "o",
    arch: "a",
    cpus: 1,
    memoryBytes: 1,
    codez: "1",
    agent: null,
    repos: [],
    capabilities: [],
    projects,
  };
  const made = {
    ...answers("create_session", { session_id: "s9" }),
    ...answers("fork_session", { session_id: "s10" }),
  };

  test("goes to the chosen machine and project, and to nowhere else", async () => {
    const alice = await somebody();
    for (const name of ["attic", "barn"]) {
      await alice.user.machine(name, { answers: made });
      await alice.user.report(name, { facts });
    }
    const page = await pageOf(alice, "/sessions/new");
    expect(textOf(page)).toMatch(/api on attic.*api on barn/);
    const { csrf } = await alice.browser.fields("/sessions/new");
    const form = {
      csrf,
      machine: offeredIn(page, "barn"),
      key: "k".repeat(16),
      place: "barn/-home-ann-src-api",
      text: "fix it",
    };
    const started = await alice.browser.post("/sessions/new", form);
    expect([started.status, started.headers.get("location")]).toEqual([303, "/sessions/barn/s9"]);
    const calls = (await alice.user.reached("barn")).filter(({ body }) => body.includes("create_session"));
    expect(JSON.parse(calls[0]?.body ?? "{}").params.arguments).toEqual({
      slug: "-home-ann-src-api",
      prompt: "fix it",
      key: form.key,
    });
    expect((await alice.user.reached("attic")).filter(({ body }) => body.includes("create_session"))).toEqual([]);
    const copied = await alice.browser.post("/sessions/barn/s9/fork", { csrf, machine: form.machine });
    expect(copied.headers.get("location")).toBe("/sessions/barn/s10");
    for (const [path, more] of [
      ["/sessions/new", { ...form, text: " " }],
      ["/sessions/new", { ...form, place: "x" }],
      ["/sessions/new", { ...form, place: "nowhere/x" }],
    ] as const) {
      const refused = await alice.browser.post(path, more);
      expect(refused.status).toBe(409);
      expect(await refused.text()).toContain(more.text.trim());
    }
    const foreign = await alice.browser.post("/sessions/new", form, { "sec-fetch-site": "cross-site" });
    expect(foreign.status).toBe(403);
  });
});
