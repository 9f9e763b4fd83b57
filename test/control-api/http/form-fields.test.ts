import { describe, expect, it } from "vitest";
import { hasTooManyFields, MAX_FORM_FIELDS } from "../../../control-api/src/http/form-fields.ts";

const FORM = "application/x-www-form-urlencoded";
const PARTS = "multipart/form-data; boundary=b";

const part = "--b\r\ncontent-disposition: form-data; name=a\r\n\r\n\r\n";

describe("whether a form has too many fields", () => {
  it.each([
    ["as many fields as it may have", FORM, "a=1&".repeat(MAX_FORM_FIELDS), false],
    ["more fields", FORM, "a&".repeat(MAX_FORM_FIELDS + 1), true],
    [
      "more fields, whose type is spelled otherwise",
      "Application/X-WWW-Form-Urlencoded; charset=x",
      "&".repeat(5_000),
      true,
    ],
    ["as many parts as it may have", PARTS, `${part.repeat(MAX_FORM_FIELDS)}--b--`, false],
    ["more parts", PARTS, part.repeat(MAX_FORM_FIELDS + 2), true],
    ["one file with many ampersands and hyphens", PARTS, `${part}${"&--".repeat(5_000)}\r\n--b--`, false],
    ["one file with many lines of hyphens", PARTS, `${part}${"\r\n--a".repeat(5_000)}\r\n--b--`, false],
    [
      "more parts, whose boundary is quoted",
      'multipart/form-data; boundary="b"',
      part.repeat(MAX_FORM_FIELDS + 2),
      true,
    ],
    ["more parts, with two boundaries", `${PARTS}; boundary=c`, part.repeat(MAX_FORM_FIELDS + 2), true],
    ["more parts, with more after the boundary", `${PARTS}; charset=x`, part.repeat(MAX_FORM_FIELDS + 2), true],
    ["no form, but JSON", "application/json", JSON.stringify("&".repeat(5_000)), false],
    ["no type", null, "&".repeat(5_000), false],
  ])("%s", (_, type, body, expected) => {
    expect(hasTooManyFields(new TextEncoder().encode(body), type)).toBe(expected);
  });
});
