import { describe, expect, test } from "vitest";
import { pageOf, type Somebody, somebody, textOf } from "./support/person.ts";

const CALL = {
  kind: "call" as const,
  client: "claude",
  machine: "attic",
  subject: "send_prompt",
  digest: null,
  durationMs: 12,
};
/** Noon of a day some days ago. The log forgets calls that are older than three months. */
const NOON_MS = Math.floor(Date.now() / 86_400_000) * 86_400_000 + 43_200_000;
const noon = (daysAgo: number): number => NOON_MS - daysAgo * 86_400_000;
const day = (daysAgo: number): string => new Date(noon(daysAgo)).toISOString().slice(0, 10);

const HOSTILE = '=HYPERLINK("http://evil")';

/** Somebody whose log has entries of three kinds, the newest last. */
async function withLog(): Promise<Somebody> {
  const alice = await somebody();
  await alice.user.machine("attic");
  await alice.user.audits([
    { ...CALL, atMs: noon(9), outcome: "ok" },
    { ...CALL, atMs: noon(8), machine: "barn", outcome: "machine_offline" },
    { ...CALL, atMs: noon(7), kind: "permission", subject: "respond_permission", outcome: "ok" },
    {
      ...CALL,
      atMs: noon(6),
      kind: "token_created",
      machine: null,
      client: HOSTILE,
      subject: "<b>ci\u202e",
      outcome: "ok",
    },
  ]);
  return alice;
}

async function exported(alice: Somebody, query: string): Promise<string> {
  const response = await alice.browser.get(`/audit?${query}`);
  return new TextDecoder().decode(await response.arrayBuffer());
}

describe("the audit log's page", () => {
  test("shows who did what, newest first, with hostile names made harmless", async () => {
    const page = await pageOf(await withLog(), "/audit");
    const text = textOf(page);
    expect(text).toMatch(/Made the token.*Answered a permission request.*machine_offline.*barn.*Called send_prompt/s);
    expect(page).not.toMatch(/<b>ci|\u202e/);
    expect(text).toContain(String.raw`\u{202e}`);
  });

  test.each([
    ["kind=permission", ["respond_permission"]],
    ["kind=call", ["send_prompt", "send_prompt"]],
    ["machine=barn", ["send_prompt"]],
    ["outcome=failed", ["send_prompt"]],
    [`since=${day(8)}&until=${day(7)}&kind=&machine=`, ["respond_permission", "send_prompt"]],
    [`client=${encodeURIComponent(HOSTILE)}`, ["<b>ci\u202e"]],
    ["machine=nowhere", []],
  ])("is filtered by %s, on the page, in a file and by the REST API alike", async (query, subjects) => {
    const alice = await withLog();
    const lines = (await exported(alice, `${query}&format=jsonl`)).split("\n").filter((line) => line !== "");
    const mine = (list: readonly { subject: string | null; atMs: number }[]) =>
      list.filter(({ atMs }) => atMs < noon(5)).map(({ subject }) => subject);
    expect(mine(lines.map((line) => JSON.parse(line) as { subject: string; atMs: number }))).toEqual(subjects);
    const { entries } = await alice.user.json<{ entries: { subject: string; atMs: number }[] }>(`/api/audit?${query}`);
    expect(mine(entries)).toEqual(subjects);
    const page = await pageOf(alice, `/audit?${query}`);
    if (subjects.length === 0) expect(textOf(page)).toContain("Nothing fits");
  });

  test("says what is wrong with a filter, and shows everything instead", async () => {
    const alice = await withLog();
    for (const query of ["since=yesterday", "kind=all", "outcome=maybe", "machine=..%2F"]) {
      const response = await alice.browser.get(`/audit?${query}`);
      expect(response.status, query).toBe(400);
      expect(await response.text(), query).toContain("must be");
      expect((await alice.user.rest("GET", `/api/audit?${query}`)).status, query).toBe(400);
    }
  });

  test("exports CSV that a spreadsheet reads as text", async () => {
    const alice = await withLog();
    const response = await alice.browser.get("/audit?kind=account&format=csv");
    expect(response.headers.get("content-disposition")).toBe('attachment; filename="operator-audit.csv"');
    expect(response.headers.get("content-type")).toBe("text/csv; charset=utf-8");
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    const lines = (await response.text()).split("\r\n");
    expect(lines[0]).toBe("id,time,kind,client,machine,subject,outcome,durationMs,digest");
    expect(lines.join("\n")).toContain(`"'=HYPERLINK(""http://evil"")",,<b>ci`);
  });

  test.each([
    ["ci;=cmd", "ci;'=cmd"],
    ["ci;+1;-1;@a", "ci;'+1;'-1;'@a"],
    ['ci; "=cmd', `ci;' ""=cmd`],
    ["ci\t=cmd", "ci\t'=cmd"],
    ["ci\r=cmd", "ci\r'=cmd"],
    ["\tcmd", "'\tcmd"],
    ["＝cmd", "'＝cmd"],
    ["ci;\t=cmd", "ci;'\t'=cmd"],
    ["ci; fine", "ci; fine"],
  ])("exports %j as text for a spreadsheet that splits lines at semicolons or tabs, too", async (subject, cell) => {
    const alice = await somebody();
    await alice.user.audits([{ ...CALL, atMs: noon(6), subject, outcome: "ok" }]);
    const file = await exported(alice, "format=csv");
    expect(file).toContain(`,${/[;\t\r"]/.test(cell) ? `"${cell}"` : cell},`);
  });

  test("is only one's own: nobody sees what another person did", async () => {
    await withLog();
    const bob = await somebody();
    expect(textOf(await pageOf(bob, "/audit"))).not.toContain("respond_permission");
    expect(await exported(bob, "format=jsonl")).not.toContain("respond_permission");
  });
});
