// Root cause: what a model wrote was shown as it came (U+202E, escape sequences) and cut at 300 characters without a mark, so
// that a person approved something else than what they read.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Script } from "../../peers/messages-api.ts";
import { TestMachine, type TestClient } from "../../scripts/serve/support/machine.ts";

let machine: TestMachine;
let client: TestClient;

/** Writes whatever it is told to into a file: Claude Code itself refuses control characters in a command, not in a file. */
const script: Script = ({ prompt, results }) =>
  prompt.startsWith("write ") && results.length === 0
    ? {
        blocks: [
          { tool: "Write", input: { file_path: join(machine.repo("repo"), "made"), content: contentOf(prompt) } },
        ],
      }
    : { blocks: [{ text: "done" }] };

/** Travels in hexadecimal: prompts are cleaned of control characters on their way. */
const contentOf = (prompt: string): string => Buffer.from(prompt.slice("write ".length), "hex").toString("utf16le");

beforeAll(async () => {
  machine = await TestMachine.start({ script });
  client = await machine.connect();
});
afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await machine[Symbol.asyncDispose]();
});

const ESCAPE = "\u001B";

/** Everything that a terminal could act on, or not show, other than the line breaks between lines. */
const HIDDEN = /[^\P{C}\n]|[\u2028\u2029\u00A0\u2800\u3164\u115F]/u;

/** A session whose turn waits for permission to write a file. */
async function asking(content: string): Promise<{ session: string; request: string }> {
  const cursor = await client.now();
  const session = await client.create(machine.repo("repo"), {
    prompt: `write ${Buffer.from(content, "utf16le").toString("hex")}`,
  });
  const events = await client.eventsUntil((event) => event["type"] === "permission.requested", cursor, session);
  return { session, request: String(events.at(-1)?.["request_id"]) };
}

describe("a file name that imitates another", () => {
  const TRICKS: [string, string, string][] = [
    ["longer than a screen", `touch harmless ${"#".repeat(4_000)}; rm -rf precious`, "; rm -rf precious"],
    ["turned around with U+202E", "echo \u202Eecho", String.raw`\u202eecho`],
    ["wiped out with escape sequences", `rm precious # ${ESCAPE}[2K${ESCAPE}[1Aecho fine`, String.raw`\u001b[2K`],
    ["with zero-width and invisible letters", "rm a\u200Bb\u2063c\u3164d", String.raw`a\u200bb\u2063c\u3164d`],
    ["with the C1 form of an escape", "echo \u009B2J", String.raw`\u009b2J`],
    ["with letters of a plane of tags", "echo \u{E0072}\u{E006D}", String.raw`\udb40\udc72\udb40\udc6d`],
    ["with blanks that are none", "echo a\u00A0b\u2800c\u2028d", String.raw`a\u00a0b\u2800c\u2028d`],
  ];

  test.each(TRICKS)("%s is shown whole and escaped, before and after it is answered", async (_, content, shown) => {
    const { session, request } = await asking(content);
    const listed = await machine.codez("permissions");
    expect(listed.stdout).toContain(request);
    expect(listed.stdout).toContain(shown);
    expect(listed.stdout).not.toMatch(HIDDEN);
    // The escapes are JSON's own: a program that reads them gets the very content.
    const { stdout } = await machine.codez("permissions", "--json");
    expect(stdout).not.toMatch(HIDDEN);
    expect(JSON.parse(stdout)).toContainEqual(
      expect.objectContaining({ request_id: request, input: expect.objectContaining({ content }) }),
    );
    const denied = await machine.codez("permissions", "deny", request);
    expect(denied.stdout).toContain(shown);
    expect(denied.stdout).not.toMatch(HIDDEN);
    await client.call("dispose_session", { session_id: session });
  });
});

test("an answer must name its request: an empty or shortened id settles nothing", async () => {
  const { session, request } = await asking("unanswered");
  for (const id of ["", request.slice(0, 3)]) {
    const refused = await machine.codez("permissions", "allow", id);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain("at least 4 characters");
  }
  expect((await machine.codez("permissions")).stdout).toContain(request);
  await client.call("dispose_session", { session_id: session });
});
