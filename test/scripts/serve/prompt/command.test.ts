import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { commandOf, isPlainCommand } from "../../../../scripts/serve/prompt/command.ts";

/** Characters that do not show, of every kind that Unicode has. */
const invisible = fc.string({
  unit: fc.constantFrom(
    ..." \t\n\r\v\f\0\u001b\u0085\u00a0\u00ad\u034f\u061c\u115f\u1680\u180e\u2000\u200b\u200d\u200f\u2028\u2029\u202e",
    ..."\u202f\u2060\u2066\u3000\u3164\ufe0f\ufeff\uffa0\ue000\u0301",
    "\u{e0041}",
    "\u{e0100}",
  ),
  maxLength: 6,
});
const name = fc.stringMatching(/^[a-z0-9_][a-z0-9_:.-]{0,20}$/);
const slash = fc.constantFrom("/", "\uff0f", "\u2044", "\u2215", "\u29f8");

describe("what counts as a command", () => {
  test("any name after a slash, whatever invisible characters precede it and whatever follows it", () => {
    fc.assert(
      fc.property(invisible, slash, name, fc.string(), (before, sign, command, rest) => {
        expect(commandOf(`${before}${sign}${command} ${rest}`)).toBe(command);
      }),
    );
  });

  test("invisible characters inside the name change nothing, unless they end it", () => {
    const joined = invisible.filter((text) => !/[\s\p{Z}]/u.test(text));
    fc.assert(
      fc.property(name, joined, name, (first, between, second) => {
        expect(commandOf(`/${first}${between}${second}`)).toBe(first + second);
      }),
    );
  });

  test.each(["ｃｏｎｆｉｇ", "𝐜onfig", "ⓒonfig", "🄲onfig"])(
    "letters of another style spell the same name: /%s",
    (styled) => {
      expect(commandOf(`/${styled}`)).toBe("config");
    },
  );

  test.each(["co\u0308nfig", "con\u00a8fig"])(
    "a mark that normalizing joins to a letter, or makes, changes nothing: /%s",
    (marked) => {
      expect(commandOf(`/${marked}`)).toBe("config");
    },
  );

  test("a text that starts with another visible character does not, whatever follows", () => {
    const word = fc.string({ minLength: 1 }).filter((text) => /^[\p{L}\p{N}!#@&$"'(<`]/u.test(text));
    fc.assert(
      fc.property(word, name, (before, command) => {
        expect(commandOf(`${before}/${command}`)).toBeNull();
      }),
    );
  });

  test("a path does not", () => {
    fc.assert(
      fc.property(name, name, (first, second) => {
        expect(commandOf(`/${first}/${second} is a folder`)).toBeNull();
      }),
    );
    for (const text of ["", "/", "//x", "/ x", "/(x)", "\u200b"]) expect(commandOf(text)).toBeNull();
  });

  test("a plain command counts as plain, and a disguised one does not", () => {
    fc.assert(
      fc.property(invisible, name, (before, command) => {
        expect(isPlainCommand(`/${command} x`, command)).toBe(true);
        if (before !== "") expect(isPlainCommand(`${before}/${command}`, command)).toBe(false);
        expect(isPlainCommand(`/${command}x`, command)).toBe(false);
      }),
    );
  });
});
