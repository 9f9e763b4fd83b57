// Root cause: a parser was tested with the texts that its author thought of, and met others.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { machineAddressIn } from "#protocol/address.ts";
import { OperatorFailure } from "#protocol/error.ts";
import { requestIdsOf } from "#protocol/json-rpc-id.ts";
import { printable } from "#protocol/printable.ts";
import { isSlug, namesIn } from "#protocol/slug.ts";
import { failureResponse } from "#protocol/stand-in.ts";
import { leanRequestIn } from "../../../control-api/src/mcp/lean-lane.ts";
import { largeAnswers } from "../../../control-api/src/http/large-answers.ts";
import { eventsWithin } from "../../../control-api/src/mcp/bounded-answer.ts";
import { filtered } from "../../../control-api/src/machines/response-filter.ts";
import { userOfToken } from "../../../control-api/src/sign-in/access-token.ts";
import { newPersonName, personName } from "../../../control-api/src/sign-in/accounts/people.ts";
import { addressOf, countedUnder, networksOf } from "../../../control-api/src/sign-in/address.ts";
import { browserNamed } from "../../../control-api/src/sign-in/browser-name.ts";
import { nextAfter } from "../../../control-api/src/sign-in/next.ts";
import { redirectRefusal } from "../../../control-api/src/sign-in/oauth/redirect-uri.ts";
import { audienceNamed } from "../../../control-api/src/sign-in/oauth/resource.ts";
import { shownName } from "../../../control-api/src/sign-in/client-name.ts";
import { tokenAsked } from "../../../control-api/src/sign-in/token-form.ts";
import { env, ORIGIN } from "../../control-api/support/operator.ts";
import { ADDRESSES, BODIES, CONTENT_TYPES, URLS } from "../corpus/hostile-text.ts";

/** Random text, with pieces of what the parsers look for more often than chance would have them. */
function textOf(...pieces: readonly string[]): fc.Arbitrary<string> {
  const piece = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...pieces) },
    { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 6 }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        "/",
        "\\",
        ":",
        "@",
        "#",
        "?",
        "%2f",
        "%00",
        ".",
        "..",
        "\t",
        "\n",
        " ",
        "\u202e",
        "\ud800",
      ),
    },
  );
  return fc.array(piece, { maxLength: 10 }).map((parts) => parts.join(""));
}

/** What a header can hold. */
const HEADER = /^[\t\x20-\x7E]*$/;

/** The corpus first, then what chance finds. */
function every(corpus: readonly string[], random: fc.Arbitrary<string>, holds: (text: string) => void): void {
  const examples: [string][] = corpus.map((one) => [one]);
  fc.assert(fc.property(random, holds), { examples, numRuns: 1_000 });
}

const url = textOf(
  "https://",
  "http://",
  "evil.test",
  "127.0.0.1",
  "localhost",
  ":8787",
  "/m/",
  "attic",
  "/mcp",
  "user@",
  "cursor://",
);

describe("an address that a client chose", () => {
  test("gets codes only if every parser reads it as the same https, loopback or known app's address", () => {
    every(URLS, url, (uri) => {
      if (redirectRefusal(uri) !== null) return;
      if (uri === "cursor://anysphere.cursor-mcp/oauth/callback") return;
      const { protocol, hostname, username, password, hash } = new URL(uri);
      expect([username, password, hash]).toEqual(["", "", ""]);
      if (protocol !== "https:")
        expect(`${protocol}//${hostname}`).toMatch(/^http:\/\/(?:127\.0\.0\.1|\[::1\]|(?:.*\.)?localhost)$/);
      // RFC 3986: scheme, two slashes, then the host up to the next slash or question mark.
      const [, host = ""] = /^[a-z][a-z\d+.-]*:\/\/([^/?#]*)/i.exec(uri) ?? [];
      expect(host).not.toMatch(/[@\\\s]/);
      expect(new URL(`https://${host}/`).hostname).toBe(hostname);
    });
  });

  test("is accepted as a resource only if it is one of ours", () => {
    every(URLS, url, (resource) => {
      const audience = audienceNamed(resource, env);
      if (audience === null) return;
      const { host, pathname, search, hash, username } = new URL(audience);
      expect(host).toMatch(/^(?:127\.0\.0\.1|(?:[a-z0-9-]+\.)?localhost):8787$/);
      expect(pathname).toMatch(/^(?:\/m\/[a-z0-9-]+)?\/mcp$/);
      expect([search, hash, username]).toEqual(["", "", ""]);
    });
  });

  test("names a machine only if its name fits a host, a path and a script name", () => {
    every(URLS, url, (text) => {
      if (!URL.canParse(text)) return;
      const address = machineAddressIn(new URL(text), env.DOMAIN);
      if (address === null || !isSlug(address.slug)) return;
      expect(address.slug).toMatch(/^[a-z0-9](?:-?[a-z0-9])*(?:--[a-z0-9]{8})?$/);
      expect(address.path).toMatch(/^\//);
      const { name, tag } = namesIn(address.slug);
      expect(tag === "" ? name : `${name}--${tag}`).toBe(address.slug);
    });
  });
});

test("signing in continues to one of our pages, whatever a link says", () => {
  const made = textOf(
    "/account",
    "/machines/",
    "/sessions",
    "/inbox",
    "/pair",
    "/oauth/authorize",
    "?code=",
    "//",
    "%2e",
    "evil.test",
  );
  every(URLS, made, (next) => {
    const target = nextAfter(next);
    expect(target).toMatch(/^\/[\x21-\x7E]*$/);
    const { origin, pathname } = new URL(target, ORIGIN);
    expect(origin).toBe(ORIGIN);
    expect(pathname).toMatch(
      /^\/(account|audit|pair|connect|costs|inbox|notifications|retention|oauth\/authorize|(machines|sessions)(\/.*)?)?$/,
    );
    expect(pathname).not.toContain("//");
  });
});

describe("a client's address", () => {
  const counted = (address: string): string | null => {
    if (!HEADER.test(address)) return null;
    try {
      return addressOf(new Request(ORIGIN, { headers: { "cf-connecting-ip": address } }), {});
    } catch (reason) {
      // No header can hold such a text, so no request can bring it.
      expect(reason).toBeInstanceOf(TypeError);
      return null;
    }
  };

  test("is counted under one key within networks that get wider, and that key counts as itself", () => {
    every(ADDRESSES, textOf("2001:db8", "::", ":", "192.0.2.1", "ffff", "0", "1", "%eth0"), (address) => {
      const key = counted(address);
      if (key === null) return;
      const networks = networksOf(key);
      expect(networks.at(-1)).toBe(key);
      expect(new Set(networks).size).toBe(networks.length);
      const keys = countedUnder("name", key, { times: 3, windowMs: 1 });
      expect(keys[0]?.[0]).toBe(`name:${key}`);
      expect(keys.length).toBeLessThanOrEqual(2);
    });
  });

  test("shares its wide network only with its neighbours, for IPv4 and IPv6", () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.ipV4(), (one, other) => {
        const [first, second] = [networksOf(one)[0], networksOf(other)[0]];
        expect(first === second).toBe(one.split(".", 2).join() === other.split(".", 2).join());
      }),
    );
    const group = fc.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16));
    fc.assert(
      fc.property(fc.tuple(group, group, group, group), fc.tuple(group, group, group, group), (one, other) => {
        const wide = (groups: readonly string[]) =>
          networksOf(counted(`2${groups[0]?.slice(1)}:${groups.slice(1).join(":")}::1`) ?? "")[0];
        const isSame = `2${one[0].slice(1)}:${one[1]}` === `2${other[0].slice(1)}:${other[1]}`;
        expect(wide(one) === wide(other)).toBe(isSame);
      }),
    );
  });
});

describe("a name that somebody chose", () => {
  const name = textOf("Dana", "Ｄａｎａ", "\u200b", "\u202e", "\u3164", "é", "e\u0301", " ");

  test("of a person does not change when it is read again, and hides no characters", () => {
    every([], name, (text) => {
      const kept = personName(text);
      expect([null, printable(kept ?? "")]).toContain(newPersonName(text));
      if (kept === null) return;
      expect(personName(kept)).toBe(kept);
      expect(kept).not.toMatch(/\p{C}/u);
      expect(kept.length).toBeLessThanOrEqual(64);
    });
  });

  test("of a client or browser is short and has only visible characters", () => {
    // Not compared with a text: half a character in the message of a failure ends the Worker that reports it.
    const cut = shownName(`${"x".repeat(79)}\u{1f600}`);
    expect([cut.isWellFormed(), cut.length]).toEqual([true, 83]);
    expect(shownName(` Claude \r\n\t  Code${" ".repeat(99)}`)).toBe("Claude Code");
    every([], name, (text) => {
      expect(shownName(text)).toBe(printable(shownName(text)));
      expect(shownName(text)).not.toBe("");
      expect(shownName(text).length).toBeLessThanOrEqual(83);
      expect(shownName(text.repeat(83)).length).toBeLessThanOrEqual(83);
      expect(browserNamed(text)).toMatch(
        /^(?:An unknown browser|A browser|Edge|Opera|Firefox|Samsung Internet|Chrome|Safari)(?: on [A-Za-z]+)?$/,
      );
    });
  });
});

describe("what a request brings", () => {
  const body = fc.oneof(
    fc.json(),
    fc.json().map((json) => `{"id":${json},"method":"x"}`),
    textOf('{"', 'id":1', ',"method":"x"', "}", "[", "]", "null"),
  );

  test("the ids of its JSON-RPC requests are those with a method, and an error can be sent under each", async () => {
    const property = fc.asyncProperty(body, async (text) => {
      const bytes = new TextEncoder().encode(text);
      const ids = requestIdsOf(bytes);
      for (const id of ids) expect(["string", "number"]).toContain(typeof id);
      const answer: unknown = await failureResponse({ code: "internal" }, bytes).json();
      const answers = Array.isArray(answer) ? answer : [answer];
      expect(answers).toHaveLength(Math.max(1, ids.length));
    });
    await fc.assert(property, { examples: BODIES.map((one) => [one]), numRuns: 500 });
  });

  test("goes to the SDK, unless it is exactly as expected", () => {
    const headers = { accept: "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25" };
    const request = new Request(`${ORIGIN}/mcp`, { headers });
    const call = fc.record(
      {
        jsonrpc: fc.constantFrom("2.0", "1.0", 2),
        id: fc.jsonValue(),
        method: fc.constantFrom("tools/call", "tools/list", "initialize"),
        params: fc.oneof(
          fc.jsonValue(),
          fc.record({ name: fc.jsonValue(), arguments: fc.jsonValue(), _meta: fc.jsonValue() }),
        ),
      },
      { requiredKeys: ["method"] },
    );
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), call), (value) => {
        const lean = leanRequestIn(request, value);
        if (lean === null) return;
        expect(typeof lean.id === "string" || Number.isSafeInteger(lean.id)).toBe(true);
        if (lean.method === "tools/call")
          expect([typeof lean.name, Array.isArray(lean.args)]).toEqual(["string", false]);
      }),
      { numRuns: 1_000 },
    );
  });

  test("a token names one user, or is refused", () => {
    every(["opr__x", "opr_owner_", "opr_a_b_c"], textOf("opr_", "owner", "_", "x".repeat(43), "-"), (token) => {
      const user = userOfToken(token);
      if (user !== null) expect(user).toMatch(/^[a-z0-9-]{1,64}$/);
    });
  });

  test("a form for a token has valid limits, or is refused", () => {
    const field = fc.oneof(
      textOf("1", "0", "-", "e9", ".5", " "),
      fc.constantFrom("", "act", "read", "manage", "attic"),
    );
    fc.assert(
      fc.property(fc.tuple(field, field, field, field, field), ([label, may, machine, calls, days]) => {
        const form = new FormData();
        for (const [name, value] of Object.entries({ label, may, machine, calls, days })) form.set(name, value);
        const asked = tokenAsked(form, 0);
        if (asked === null) return;
        const { callsPerDay, expiresMs, machines, scopes } = asked.limits;
        for (const limit of [callsPerDay, expiresMs])
          expect(limit === null || (Number.isSafeInteger(limit) && limit > 0)).toBe(true);
        expect(calls.trim() === "").toBe(callsPerDay === null);
        expect(days.trim() === "").toBe(expiresMs === null);
        if (scopes.includes("operator:admin")) expect([machines, callsPerDay]).toEqual([null, null]);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("what a machine answers", () => {
  test("passes as JSON or as an event stream, however its content type is written", () => {
    every(
      CONTENT_TYPES,
      textOf("application/json", "text/event-stream", "text/html", ";", ",", "charset=", "utf-8", '"'),
      (type) => {
        if (!HEADER.test(type)) return;
        let response: Response;
        try {
          response = new Response("x", { headers: { "content-type": type } });
        } catch {
          return; // no header can hold it
        }
        const { headers } = filtered(response, "attic");
        const shown = headers.get("content-type") ?? "";
        expect(shown.split(";", 1)[0]?.trim().toLowerCase()).toMatch(/^(?:application\/json|text\/event-stream)$/);
        expect(shown).not.toContain(",");
        expect(headers.get("x-content-type-options")).toBe("nosniff");
      },
    );
  });

  test("is read as the same events however its bytes are cut, and invalid bytes end it with our own error", async () => {
    const data = fc.array(
      fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).map((text) => JSON.stringify(text)),
      { maxLength: 6 },
    );
    const streamOf = (bytes: Uint8Array, cuts: readonly number[]): ReadableStream<Uint8Array> => {
      let at = 0;
      const ends = [...cuts, bytes.length];
      return new ReadableStream<Uint8Array>({
        pull(controller) {
          const end = ends.shift();
          if (end === undefined) return controller.close();
          const piece = bytes.slice(at, at + end);
          at = Math.min(bytes.length, at + end);
          if (piece.length > 0) controller.enqueue(piece);
          else return this.pull?.(controller);
        },
      });
    };
    const reading = { machine: "attic", held: largeAnswers.of("ann") };
    const read = async (bytes: Uint8Array, cuts: readonly number[]): Promise<string[]> => {
      const all: string[] = [];
      for await (const one of eventsWithin(new Response(streamOf(bytes, cuts)), reading)) all.push(one);
      return all;
    };
    const cuts = fc.array(fc.nat(30), { maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(data, cuts, async (events, where) => {
        const text = events.map((one) => `event: message\ndata: ${one}\n\n`).join("");
        expect(await read(new TextEncoder().encode(text), where)).toEqual(events);
      }),
      { numRuns: 200 },
    );
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), cuts, async (bytes, where) => {
        await read(bytes, where).catch((reason: unknown) => expect(reason).toBeInstanceOf(OperatorFailure));
      }),
      { numRuns: 200 },
    );
  });
});
