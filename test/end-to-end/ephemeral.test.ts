import { mkdtemp, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Codez, codez } from "../scripts/codez/commands/support/codez.ts";
import { until } from "./support/eventually.ts";
import { TestOperator } from "./support/operator.ts";

type Listed = { machines: { name: string; status: string }[] };

let operator: TestOperator;
/** What `codez keys create` printed: the one setting that a container needs. */
let setting: string;
let person: { home: string; env: Record<string, string> };
/** The folder for temporary files of the containers. The computer's own also has those of test files that run at the same time. */
let temporary: string;

beforeAll(async () => {
  operator = await TestOperator.start();
  temporary = await mkdtemp(join(operator.folder, "temporary-"));
  const home = await mkdtemp(join(operator.folder, "person-"));
  person = { home, env: { CODEZ_HUB: operator.url } };
  await writeFile(join(home, "policy.json"), JSON.stringify({ readOnly: true }));
  const options = [
    "--ephemeral",
    "--tag",
    "ci",
    "--reusable",
    "--expires",
    "30d",
    "--policy",
    join(home, "policy.json"),
  ];
  const made = await codez(home, ["keys", "create", ...options], person.env);
  expect(made.code, made.err).toBe(0);
  setting = made.out.trim();
});

afterAll(() => operator[Symbol.asyncDispose]());

async function machines(): Promise<Listed["machines"]> {
  const { body } = await operator.api("GET", "/api/machines");
  return (body as Listed).machines;
}

/** A container: a home of its own, one variable, and nobody there. */
async function container(): Promise<Codez> {
  const [, key = ""] = /^CODEZ_ENROLMENT_KEY=(.+)$/.exec(setting) ?? [];
  const home = await mkdtemp(join(operator.folder, "container-"));
  const up = new Codez(home, ["up", "--ephemeral"], { HOME: home, TMPDIR: temporary, CODEZ_ENROLMENT_KEY: key });
  operator.own(up);
  return up;
}

test("a container with one variable is a machine for as long as it runs", async () => {
  const began = performance.now();
  const [one, two] = await Promise.all([container(), container()]);
  await Promise.all([one.says("online"), two.says("online")]);
  expect(await leftFolders()).toHaveLength(2);
  // The script has welcomed both; their owner's list learns of it a moment later.
  await until("both are listed as online", async () => (await machines()).every(({ status }) => status === "online"));
  console.log(`two containers were online after ${Math.round(performance.now() - began)} ms`);
  expect((await machines()).map(({ name }) => name).toSorted()).toEqual(["ci", "ci-2"]);

  const listed = await codez(person.home, ["keys"], person.env);
  expect(listed.out).toMatch(/ci +up to 100 at once +2 .*own +ci,ci-2/);

  one.process.kill("SIGTERM");
  expect(await one.ended()).toMatchObject({ code: 0 });
  expect((await machines()).length).toBe(1);

  const [{ id }] = (
    JSON.parse((await codez(person.home, ["keys", "--json"], person.env)).out) as { keys: [{ id: string }] }
  ).keys;
  const revoked = await codez(person.home, ["keys", "revoke", id, "--and-machines"], person.env);
  expect(revoked.out).toMatch(/^Revoked \w+\. Removed ci(-2)?\.\n$/);
  expect((await two.ended()).code).not.toBe(0);
  await until("no machine to be left", async () => (await machines()).length === 0);
  expect(await leftFolders()).toEqual([]);
});

test("a container with a key that is not valid ends, and says what to do", async () => {
  const key = `ope_owner_${"x".repeat(43)}@${operator.url}`;
  const home = await mkdtemp(join(operator.folder, "container-"));
  const { code, err } = await codez(home, ["up", "--ephemeral"], { CODEZ_ENROLMENT_KEY: key });
  expect(code).not.toBe(0);
  expect(err).toContain("enrolment key");
  const none = await codez(home, ["up", "--ephemeral"]);
  expect(none.err).toContain("codez keys create");
});

/** The folders of such machines. */
async function leftFolders(): Promise<string[]> {
  return (await readdir(temporary)).filter((name) => name.startsWith("codez-"));
}
