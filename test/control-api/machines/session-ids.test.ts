import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { handlesInJson, handlesInProse, handlesInValue } from "../../../control-api/src/machines/session-ids.ts";

const inValue = (value: unknown, isSession = false) => handlesInValue(value, "attic", new Set(), isSession);

describe("session ids", () => {
  it.each([
    ["in a list", { sessions: [{ session_id: "a" }, { session_id: "b" }] }, { sessions: [{ session_id: "attic/a" }, { session_id: "attic/b" }] }],
    ["by the spelling of other agents", { sessions: [{ sessionId: "a", forkedFrom: "b" }] }, { sessions: [{ sessionId: "attic/a", forkedFrom: "attic/b" }] }],
    ["as what a session was forked from", { session: { session_id: "a", forked_from: "b" } }, { session: { session_id: "attic/a", forked_from: "attic/b" } }],
    ["in requests that wait", { pending: [{ request_id: "r", session_id: "a" }] }, { pending: [{ request_id: "r", session_id: "attic/a" }] }],
    ["as an error's evidence", { error: { code: "session_unknown", session: "a" } }, { error: { code: "session_unknown", session: "attic/a" } }],
    ["as the id of a session", { session: { id: "a" }, sessions: [{ id: "b" }] }, { session: { id: "attic/a" }, sessions: [{ id: "attic/b" }] }],
  ])("become handles %s", (_, value, handled) => {
    expect(inValue(value)).toEqual(handled);
    expect(JSON.parse(handlesInJson(JSON.stringify(value), "attic"))).toEqual(handled);
  }); // prettier-ignore

  it.each([
    ["ids of other things", { id: "x", turn_id: "x", request_id: "x", messages: [{ id: "x" }], project: { id: "x" } }],
    ["a session's id beside a name for it", { session: { id: 7, name: "x" } }],
    ["no id at all", { session_id: null, session: "", sessions: [] }],
    ["what a person or an agent wrote", { parts: [{ input: { session_id: "x", deep: [{ session_id: "x" }] } }] }],
    ["what only speaks of it", { text: '{"session_id":"x"}', list: ["session_id", "x"] }],
    ["counts", { sessions: { live: 1, limit: 8 }, live_sessions: 2 }],
  ])("are not created from %s", (_, value) => {
    expect(inValue(value)).toBe(value);
    const text = JSON.stringify(value);
    expect(handlesInJson(text, "attic")).toBe(text);
  });

  it("in JSON text are replaced without changing any other character", () => {
    const text = '{ "n":12345678901234567890, "e": 1.0e+2,"session_id" :\t"a\\u0062\\"c", "s":"\\u00e9\\\\", "n":1 }';
    expect(handlesInJson(text, "attic")).toBe(text.replace('"a\\u', '"attic/a\\u'));
  });

  it.each(['{"session_id":"a"', 'I made {"session_id":"a"}.', '{"session_id":"a"}{"session_id":"b"}', "{'session_id':'a'}", '"session_id":"a"'])(
    "in %s, which is not JSON, stay unchanged",
    (text) => expect(handlesInJson(text, "attic")).toBe(text),
  ); // prettier-ignore

  it("are found alike in a value and in its JSON text", () => {
    const key = fc.oneof(
      fc.constantFrom("session_id", "sessionId", "session", "sessions", "id", "forked_from", "input", "state", "x"),
      fc.string(),
    );
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 6 }, fc.string(), fc.integer(), fc.constant(null), tie("list"), tie("object")),
      list: fc.array(tie("value"), { maxLength: 4 }),
      object: fc.dictionary(key, tie("value"), { maxKeys: 5 }),
    }));
    fc.assert(
      fc.property(value, fc.boolean(), fc.constantFrom(0, 2), (any, isSession, spaces) => {
        const text = JSON.stringify(any, null, spaces);
        expect(JSON.parse(handlesInJson(text, "attic", isSession))).toEqual(inValue(JSON.parse(text), isSession));
      }),
    );
  });

  it("in extremely nested data do not stop the search", () => {
    const deep: unknown = JSON.parse(`${'{"x":['.repeat(20_000)}{"session_id":"a"}${"]}".repeat(20_000)}`);
    expect(inValue(deep)).toBe(deep);
  });
});

describe("an error's message", () => {
  const id = "3f2a0c1e-1111-4222-8333-444455556666";

  it("names a session by its handle, once", () => {
    expect(handlesInProse(`No session ${id}, nor "${id}"; but attic/${id} and ${id}-2.`, "attic", new Set([id]))).toBe(
      `No session attic/${id}, nor "attic/${id}"; but attic/${id} and ${id}-2.`,
    );
  });

  it("is read once and not for each id, of which a machine may send a hundred thousand beside a text of megabytes", () => {
    class NotWalked extends Set<string> {
      override [Symbol.iterator](): SetIterator<string> {
        throw new Error("each id is looked for in the text");
      }
    }
    const ids = new NotWalked([id, "session-1", "session-2"]);
    expect(handlesInProse("session-2 before session-1", "attic", ids)).toBe("attic/session-2 before attic/session-1");
  });

  it.each(["main", "session", "", "a.b*c(d)"])("stays unchanged where %j may be an ordinary word", (word) =>
    expect(handlesInProse(`the main session a.b*c(d)`, "attic", new Set([word]))).toBe("the main session a.b*c(d)"),
  );
});
