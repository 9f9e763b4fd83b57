import { describe, expect, it } from "vitest";
import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { argumentProblems, type CodingTool, inputSchemaOf } from "#protocol/coding-tools/coding-tool.ts";

const every: readonly CodingTool[] = Object.values(CODING_TOOLS);

describe.each(every)("$name", (tool) => {
  it("has an entry under its own name, which every client accepts", () => {
    expect(Object.entries(CODING_TOOLS)).toContainEqual([tool.name, tool]);
    expect(tool.name).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
  });

  it("describes each of its parameters, or lists the values it takes", () => {
    for (const [name, property] of Object.entries(inputSchemaOf(tool).properties)) {
      expect(property.type, name).toBeTruthy();
      expect(property.description ?? ("enum" in property && property.enum), name).toBeTruthy();
    }
  });
});

/** A machine's error for these arguments; `null` if it accepts them. */
function problems(name: keyof typeof CODING_TOOLS, given: unknown): string | null {
  const tool: CodingTool = CODING_TOOLS[name];
  const parsed = tool.input.safeParse(given);
  return parsed.success ? null : argumentProblems(tool, given, parsed.error);
}

const SESSION = "3f2a0c1e-1111-4222-8333-444455556666";

describe("arguments", () => {
  it("that a tool does not know are accepted, for later clients", () => {
    expect(problems("abort_session", { session_id: SESSION, later: true })).toBeNull();
  });

  it.each(["../../etc/passwd", `attic/${SESSION}`, "", `${SESSION}.jsonl`])(
    "that name a session by %j are refused, because only the machine's own id is valid",
    (session_id) => expect(problems("abort_session", { session_id })).toMatch(/"session_id".*not a session id/),
  );

  it.each([
    ["image/png", "AAAA", null],
    ["text/x-rust", "", null],
    ["text/html", "not base64!", /attachments\.0\.data.*Base64/],
    ["text/plain", "AAA", /attachments\.0\.data.*Base64/],
    ["application/zip", "AAAA", /attachments\.0\.media_type/],
  ])("with an attachment %s %j", (media_type, data, says) => {
    const said = problems("send_prompt", { session_id: SESSION, text: "x", attachments: [{ media_type, data }] });
    if (says === null) expect(said).toBeNull();
    else expect(said).toMatch(says);
  });

  it("with an attachment of many megabytes are read without running out of stack", () => {
    const attachments = [{ media_type: "image/png", data: "A".repeat(16 * 1024 * 1024) }];
    expect(problems("send_prompt", { session_id: SESSION, text: "x", attachments })).toBeNull();
  });

  it.each(["--dangerously-skip-permissions", "-p", "", "a b"])(
    "cannot turn a model's name into an option: %j",
    (model) => expect(problems("create_session", { model })).toContain('"model"'),
  );

  it("with several mistakes are told all of them", () => {
    const said = problems("respond_permission", { session_id: SESSION, behaviour: "allow" });
    expect(said).toContain('respond_permission needs "request_id": From list_pending');
    expect(said).toContain('respond_permission needs "behavior"');
    expect(said).toContain('respond_permission has no parameter "behaviour".');
  });
});
