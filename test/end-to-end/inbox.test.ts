import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { obedient, TestMachine } from "../scripts/serve/support/machine.ts";
import { until } from "./support/eventually.ts";
import { joinOperator } from "./support/join-operator.ts";
import { TestOperator } from "./support/operator.ts";

const CLAIM_CODE = "CLAIM-CLAIM-CLAIM-CLAIM";

let operator: TestOperator;
/** A computer with the real Claude Code behind `codez serve`, which the shipped `codez connect` brings to Operator. */
let attic: TestMachine;

beforeAll(async () => {
  operator = await TestOperator.start({ CLAIM_CODE });
  attic = await TestMachine.start({ script: obedient });
  operator.own(attic);
  await joinOperator(operator, attic);
});
afterAll(() => operator[Symbol.asyncDispose]());

/** A browser's request with this cookie. */
function visit(path: string, cookie: string, form?: Record<string, string>): Promise<Response> {
  const headers = { cookie, "sec-fetch-site": "same-origin" };
  const init = form === undefined ? { headers } : { method: "POST", headers, body: new URLSearchParams(form) };
  return fetch(`${operator.url}${path}`, { ...init, redirect: "manual" });
}

test("a person allows on the inbox page what a session on a machine asks, and no token can", async () => {
  await using client = await attic.connect();
  await client.create(attic.repo("repo"), { prompt: "bash touch allowed-on-the-page.txt" });
  const path = join(attic.repo("repo"), "allowed-on-the-page.txt");
  const pending = async (): Promise<{ id: number }[]> => {
    const { body } = await operator.api("GET", "/api/inbox");
    return (body as { pending: { id: number }[] }).pending;
  };
  await until("the request in the inbox", async () => (await pending()).length === 1);
  const [{ id } = { id: 0 }] = await pending();
  const refused = await operator.api("POST", `/api/inbox/${id}`, { behavior: "allow" });
  expect(refused).toMatchObject({ status: 403, body: { error: { code: "approval_not_allowed" } } });

  const claimed = await visit("/claim", "", { code: CLAIM_CODE, name: "dana", password: "correct horse battery" });
  const cookie = claimed.headers
    .getSetCookie()
    .map((line) => line.split(";")[0])
    .join("; ");
  const page = await (await visit("/inbox", cookie)).text();
  expect(page).toContain("touch allowed-on-the-page.txt");
  const [, csrf = ""] = /name="csrf" value="([^"]+)"/.exec(page) ?? [];
  expect(existsSync(path)).toBe(false);
  const decided = await visit(`/inbox/${id}`, cookie, { csrf, behavior: "allow" });
  expect(await decided.text()).toContain("has taken it");
  await until("the file", () => existsSync(path));
  const { body } = await operator.api("GET", `/api/inbox/${id}`);
  expect(body).toMatchObject({ state: "settled", settled: { behavior: "allow", by: "dana, on the inbox page" } });
});
