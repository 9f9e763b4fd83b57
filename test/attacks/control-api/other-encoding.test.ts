// Root cause: a request to a machine was read as UTF-8 on its way, and by the machine's server in whatever encoding it named or looked like.
// An answer to a permission request in UTF-16 was not recognised as one, and the server carried it out.
import * as fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { ApprovalScan, mayAnswerPermission } from "../../../control-api/src/machines/approval.ts";
import { encodingRefusal } from "../../../control-api/src/machines/text-encoding.ts";
import { TestUser } from "../../control-api/support/operator.ts";

const CALL = JSON.stringify({
  jsonrpc: "2.0",
  id: 7,
  method: "tools/call",
  params: { name: "respond_permission", arguments: { session_id: "s", request_id: "r", behavior: "allow" } },
});

/** A text in units of so many bytes. */
function encoded(text: string, bytes: 2 | 4, isLittle: boolean, hasMark: boolean): Uint8Array {
  const units = Array.from(hasMark ? `\ufeff${text}` : text, (character) => character.codePointAt(0) ?? 0);
  const view = new DataView(new ArrayBuffer(units.length * bytes));
  for (const [at, unit] of units.entries())
    if (bytes === 2) view.setUint16(at * 2, unit, isLittle);
    else view.setUint32(at * 4, unit, isLittle);
  return new Uint8Array(view.buffer);
}

const ENCODINGS = ([2, 4] as const).flatMap((bytes) =>
  [true, false].flatMap((isLittle) => [true, false].map((hasMark) => ({ bytes, isLittle, hasMark }))),
);

describe("an answer to a permission request", () => {
  let user: TestUser;
  beforeEach(async () => {
    user = new TestUser();
    await user.machine("attic");
  });

  const send = async (body: Uint8Array, type: string, isStreamed = false) =>
    user.fetch(`/m/${await user.slug("attic")}/mcp`, {
      method: "POST",
      headers: { "content-type": type, ...(isStreamed ? {} : { "content-length": String(body.length) }) },
      body: isStreamed ? new Blob([body]).stream() : body,
    });

  test.each(ENCODINGS)(
    "in units of $bytes bytes (little: $isLittle, marked: $hasMark) reaches no machine",
    async (one) => {
      const body = encoded(CALL, one.bytes, one.isLittle, one.hasMark);
      for (const isStreamed of [false, true]) {
        const text = await (await send(body, "application/json", isStreamed)).text();
        expect(text).toContain("approval_not_allowed");
      }
      // Of a streamed one the machine got a beginning at most, which is no request.
      const whole = new TextDecoder().decode(body);
      const bodies = (await user.reached("attic")).flatMap(({ path, body: got }) => (path === "/mcp" ? [got] : []));
      expect(bodies.filter((got) => got !== "" && whole.endsWith(got))).toEqual([]);
    },
  );

  test.each([
    "application/json; charset=utf-16le",
    "application/json;charset=UTF-16",
    'application/json; charset="ibm037"',
    "application/json; charset=utf-7",
    "application/json; charset=utf-8; charset=utf-7",
    "application/json; charset=utf-7; charset=utf-8",
    "application/json; charset=utf-8, application/json; charset=utf-7",
    "application/json; charset*=utf-8''utf-7",
    "application/json; charset = utf-7",
    "application/json; CHARSET\t=\tutf-7",
    "application/json; charset=",
    'application/json; charset="u\\tf-8"',
  ])("whose content type is %s is refused, whatever its bytes", async (type) => {
    const answer = await send(new TextEncoder().encode("{}"), type);
    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining("MCP messages are UTF-8")]);
    expect((await user.reached("attic")).map(({ path }) => path)).not.toContain("/mcp");
  });

  test.each([
    "application/json",
    "application/json; charset=utf-8",
    'application/json;charset="UTF-8"',
    "text/plain;charset=UTF-8",
  ])("passes as any other request if its content type is %s", async (type) => {
    await send(new TextEncoder().encode(CALL.replace("respond_permission", "echo")), type);
    expect((await user.reached("attic")).map(({ path }) => path)).toContain("/mcp");
  });
});

test("every JSON text in another encoding counts as an answer, whatever its content and however it is cut, and no text in UTF-8 does", () => {
  const value = fc.jsonValue({ stringUnit: "grapheme" });
  const request = fc.oneof(fc.dictionary(fc.string({ unit: "grapheme" }), value), fc.array(value));
  const json = fc
    .tuple(fc.stringMatching(/^[ \t\r\n]{0,3}$/), request)
    .map(([space, one]) => space + JSON.stringify(one));
  fc.assert(
    fc.property(json, fc.constantFrom(...ENCODINGS), fc.nat(), (text, { bytes, isLittle, hasMark }, cut) => {
      const whole = encoded(text, bytes, isLittle, hasMark);
      const scan = new ApprovalScan();
      const at = cut % (whole.length + 1);
      expect([scan.found(whole.subarray(0, at)), scan.found(whole.subarray(at))]).toContain(true);
      expect(mayAnswerPermission(whole)).toBe(true);
      expect(mayAnswerPermission(new TextEncoder().encode(text))).toBe(text.includes('"respond_permission"'));
    }),
    { numRuns: 1_000 },
  );
});

test("a body that is not JSON may contain every byte", () => {
  const bytes = Uint8Array.from({ length: 512 }, (_, index) => index);
  expect(mayAnswerPermission(bytes)).toBe(false);
  const scan = new ApprovalScan();
  expect([bytes.subarray(0, 1), bytes.subarray(1, 2), bytes.subarray(2)].map((piece) => scan.found(piece))).toEqual([
    false,
    false,
    false,
  ]);
});

test("no accepted content type can name another encoding", () => {
  const part = fc.constantFrom(
    "application/json",
    ";",
    "charset",
    "=",
    "utf-8",
    "utf-16",
    "utf-7",
    '"',
    " ",
    ",",
    "*",
    "boundary=x",
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      const type = parts.join("").trim();
      if (type === "" || encodingRefusal(new Headers({ "content-type": type })) !== null) return;
      const plain = type.replaceAll(/\s/g, "");
      expect(plain.split("charset").length).toBeLessThanOrEqual(2);
      if (plain.includes("charset")) expect(plain).toMatch(/;charset="?utf-8"?$/);
    }),
    { numRuns: 3_000 },
  );
});
