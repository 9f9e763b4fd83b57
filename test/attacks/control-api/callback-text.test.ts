// Root cause, of what this keeps out: a URL, a cursor or parameters that somebody chose are read twice, once to be checked and once to be
// used, and must mean the same both times. (No hole was found here; the corpus is of what was tried.)
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { END_MARK, EndMark, withEndMark } from "#protocol/end-mark.ts";
import { BindingName } from "#protocol/hosted-server.ts";
import { decodeCursor, encodeCursor } from "../../../control-api/src/events/cursor.ts";
import { EVENT_TYPES } from "../../../control-api/src/mcp-events/event-type.ts";
import { EventsFailure } from "../../../control-api/src/mcp-events/events-error.ts";
import {
  canonicalArguments,
  filterOf,
  parseFilter,
} from "../../../control-api/src/mcp-events/subscription-arguments.ts";
import { callbackUrlOf } from "../../../control-api/src/webhooks/callback-url.ts";

const ENV = { ORIGIN: "https://operator.example.com", DOMAIN: "machines.example.com" };

const isTaken = (url: string): boolean => !("refused" in callbackUrlOf(url, ENV));

describe("a callback", () => {
  test.each([
    // Operator's own addresses, and its machines', however they are written.
    "https://operator.example.com/mcp",
    "https://OPERATOR.EXAMPLE.COM./mcp",
    "https://operator.example.com:8443/",
    "https://operator。example。com/",
    "https://operator%2eexample%2ecom/",
    "https://ｏｐｅｒａｔｏｒ.example.com/",
    "https://attic.machines.example.com/mcp",
    "https://attic.machines.example.com./mcp",
    "https://a.b.MACHINES.example.com/",
    "https://machines.example.com/",
    // Addresses that are not public, in every notation.
    ...["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0", "10.1", "192.168.257", "169.254.169.254", "100.64.0.1", "[::1]", "[::]"].map((host) => `https://${host}/`), // prettier-ignore
    ...["[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1]", "[fc00::1]", "[2001::1]", "[100::1]"].map((host) => `https://${host}/`), // prettier-ignore
    "https://[fe80::1%25eth0]/",
    "https://①②⑦.0.0.1/",
    "https://localhost./",
    "https://x.localhost/",
    "https://router.lan/",
    "https://a.internal./",
    "https://metadata/",
    // What is no https, has credentials, or is no URL.
    "http://example.com/",
    "https:\\\\operator.example.com/",
    "https://user@example.com/",
    "https://:pw@example.com/",
    "https://example.com@127.0.0.1/",
    "https://example.com/#x",
    "javascript:alert(1)",
    "file:///etc/passwd",
    "https://example.com:99999/",
    "https://exa mple.com/",
    "https://",
    "",
  ])("%j is refused", (url) => {
    expect(isTaken(url)).toBe(false);
  });

  test.each([
    "https://example.com/",
    "https://example.com:8443/x?y=z",
    "https://[2606:4700::1111]/",
    "https://8.8.8.8/",
  ])("%j is accepted", (url) => {
    expect(isTaken(url)).toBe(true);
  });

  test("that is accepted is what it says: https, without credentials, and the same when it is read again", () => {
    const host = fc.oneof(
      fc.domain(),
      fc.ipV4(),
      fc.ipV4Extended(),
      fc.ipV6().map((one) => `[${one}]`),
      fc.string(),
    );
    const text = fc.oneof(
      fc.tuple(fc.constantFrom("https://", "HTTPS:\\\\", "https:/", " https://", "https://u@"), host, fc.string()).map((parts) => parts.join("")), // prettier-ignore
      fc.webUrl({ withQueryParameters: true, withFragments: true }),
      fc.string({ unit: "binary" }),
    );
    fc.assert(
      fc.property(text, (given) => {
        const url = callbackUrlOf(given, ENV);
        if ("refused" in url) return;
        const again = new URL(url.href);
        expect([again.href, again.protocol, again.username + again.password + again.hash]).toEqual([
          url.href,
          "https:",
          "",
        ]);
        // As it is stored and sent to, it passes the same check.
        expect(isTaken(url.href)).toBe(true);
        const own = again.hostname.replace(/\.$/, "");
        if (/^\d+(?:\.\d+){3}$/.test(own)) expect(own).not.toMatch(/^(?:127|10|0|22[4-9]|2[34]\d|25[0-5])\./);
        if (own.startsWith("[")) expect(own).toMatch(/^\[[23]/);
        expect(own === "operator.example.com" || own.endsWith("machines.example.com")).toBe(false);
      }),
      { numRuns: 1_000 },
    );
  });

  test("in any notation of a private IPv4 address is refused", () => {
    const octet = fc.nat(255);
    const address = fc.tuple(
      fc.constantFrom([127], [10], [192, 168], [169, 254], [172, 16], [100, 64], [0]),
      octet,
      octet,
      octet,
    );
    const notation = address.chain(([network, ...rest]) => {
      const [a = 0, b = 0, c = 0, d = 0] = [...network, ...rest].slice(0, 4);
      const number = ((a * 256 + b) * 256 + c) * 256 + d;
      const hex = (value: number) => `0x${value.toString(16)}`;
      const mapped = `[::ffff:${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}]`;
      return fc.constantFrom(`${a}.${b}.${c}.${d}`, `${number}`, hex(number), `0${number.toString(8)}`, `${a}.${(b * 256 + c) * 256 + d}`, `${hex(a)}.${b}.${c * 256 + d}`, mapped, `[::${a}.${b}.${c}.${d}]`, `[64:ff9b::${a}.${b}.${c}.${d}]`, `${a}.${b}.${c}.${d}.`); // prettier-ignore
    });
    fc.assert(
      fc.property(notation, (host) => {
        expect([host, isTaken(`https://${host}/`)]).toEqual([host, false]);
      }),
      { numRuns: 700 },
    );
  });
});

test("a cursor is read as the position that it was made of, and nothing else as a position", () => {
  const epoch = fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: 8, maxLength: 8 });
  const position = fc.record({ epoch, seq: fc.maxSafeNat() });
  fc.assert(
    fc.property(position, (given) => {
      expect(decodeCursor(encodeCursor(given))).toEqual(given);
    }),
  );
  const near = fc
    .tuple(epoch, fc.constantFrom("-", "--", "", "–", "-\n", "- "), fc.string({ maxLength: 14 }))
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(fc.oneof(near, fc.string(), fc.base64String()), (text) => {
      const read = decodeCursor(text);
      if (read === null || read === "expired") return;
      expect(Number.isSafeInteger(read.seq) && read.seq >= 0 && /^[0-9a-f]{8}$/.test(read.epoch)).toBe(true);
      expect(decodeCursor(encodeCursor(read))).toEqual(read);
    }),
    { numRuns: 1_000 },
  );
});

test("a subscription's arguments are refused as such, or mean the same when they are read again", () => {
  const name = fc.constantFrom(
    "attic",
    "ATTIC",
    "attic/s1",
    "../x",
    "__proto__",
    "",
    "a".repeat(300),
    "att\u200bic",
    "attic\n",
    "null",
  );
  const args = fc.oneof(
    fc.record(
      { machineId: fc.oneof(name, fc.anything()), session: fc.oneof(name, fc.anything()) },
      { requiredKeys: [] },
    ),
    fc.dictionary(fc.constantFrom("machineId", "session", "__proto__", "constructor", "machine"), name),
    fc.anything(),
  );
  fc.assert(
    fc.property(args, fc.constantFrom(...EVENT_TYPES), (given, type) => {
      try {
        const filter = filterOf(type, given);
        const again: unknown = JSON.parse(canonicalArguments(given));
        expect(parseFilter(again)).toEqual(filter);
        if (filter.session !== null) expect(filter.session.startsWith(`${filter.machine}/`)).toBe(true);
      } catch (reason) {
        expect(reason).toBeInstanceOf(EventsFailure);
      }
    }),
    { numRuns: 700 },
  );
});

test("the end mark is removed from the end and from nowhere else, however the bytes are cut", () => {
  const bytes = fc.array(fc.constantFrom(0x03, 0x0a, 0x61), { maxLength: 20 });
  fc.assert(
    fc.property(bytes, fc.boolean(), fc.array(fc.nat(20), { maxLength: 6 }), (given, isMarked, cuts) => {
      const stream = isMarked ? withEndMark(Uint8Array.from(given)) : Uint8Array.from(given);
      const mark = new EndMark();
      const got: number[] = [];
      let from = 0;
      for (const cut of [...cuts.toSorted((one, other) => one - other), stream.length]) {
        const to = Math.min(Math.max(cut, from), stream.length);
        got.push(...mark.strip(stream.subarray(from, to)));
        from = to;
      }
      const endsWithMark = stream.at(-1) === END_MARK[0];
      expect(mark.isThere).toBe(endsWithMark);
      expect(got).toEqual(Array.from(endsWithMark ? stream.subarray(0, -1) : stream));
    }),
    { numRuns: 700 },
  );
});

test("no binding of a hosted server can be one of Operator's, whatever its case", () => {
  const text = fc.tuple(fc.constantFrom("OPERATOR_", "operator_", "Operator_", "OPERATOR", "ＯPERATOR_", "", "_"), fc.string({ maxLength: 8 })).map((parts) => parts.join("")); // prettier-ignore
  fc.assert(
    fc.property(text, (name) => {
      if (!BindingName.safeParse(name).success) return;
      expect(name).toMatch(/^[A-Za-z_][A-Za-z0-9_]*$/);
      expect(name.toUpperCase().startsWith("OPERATOR_")).toBe(false);
    }),
    { numRuns: 700 },
  );
});
