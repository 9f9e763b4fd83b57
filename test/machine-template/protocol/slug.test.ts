import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isMachineName, isSlug, machineNameFrom, namesIn, slugOf } from "#protocol/slug.ts";

describe("a machine's name", () => {
  it.each(["attic", "a", "7", "work-pc", "a-b-c", "2nd-floor", "a".repeat(32), "local", "apis"])(
    "accepts %j",
    (name) => {
      expect(isMachineName(name)).toBe(true);
    },
  );

  it.each([
    ["empty", ""],
    ["too long", "a".repeat(33)],
    ["too long by its hyphens", `${"a-".repeat(16)}a`],
    ["upper case", "Attic"],
    ["a leading hyphen", "-attic"],
    ["a trailing hyphen", "attic-"],
    ["two hyphens, which part a name from its owner's tag", "at--tic"],
    ["punycode", "xn--bcher-kva"],
    ["a dot", "attic.lan"],
    ["a trailing dot", "attic."],
    ["only a dot", "."],
    ["dot dot", ".."],
    ["a slash", "attic/mcp"],
    ["an encoded slash", "attic%2fmcp"],
    ["encoded dots", "%2e%2e"],
    ["a space", "at tic"],
    ["a line break at its end", "attic\n"],
    ["an underscore", "at_tic"],
    ["a letter that is not ASCII", "bücher"],
    ["a letter that only looks like one", "аttic"],
    ["a full-width letter, which folds to one", "ａttic"],
    ["a zero-width space", "at\u200btic"],
    ["a NUL", "attic\0"],
  ])("refuses %s", (_, name) => {
    expect(isMachineName(name)).toBe(false);
    expect(isSlug(name)).toBe(false);
  });

  it.each(["api", "mcp", "m", "oauth", "www", "admin", "link", "pair", "localhost", "well-known", "codez", "operator"])(
    "refuses %j, which Operator reserves",
    (name) => {
      expect(isMachineName(name)).toBe(false);
      expect(isSlug(name)).toBe(false);
      expect(isSlug(`${name}--abcd1234`)).toBe(false);
    },
  );
});

describe("a slug", () => {
  it("is a name, or a name with its owner's tag of eight characters", () => {
    expect(isSlug("attic")).toBe(true);
    expect(isSlug("attic--abcd1234")).toBe(true);
    for (const wrong of [
      "attic--",
      "--abcd1234",
      "attic--abcd123",
      "attic--abcd12345",
      "attic--ABCD1234",
      "attic--abcd1234--abcd1234",
      "attic---abcd1234",
      "attic--abcd-234",
    ])
      expect(isSlug(wrong), wrong).toBe(false);
  });

  it("is made of a name and a tag, and different pairs make different slugs", () => {
    const name = fc.stringMatching(/^[a-z0-9](-?[a-z0-9]){0,12}$/).filter(isMachineName);
    const tag = fc.oneof(fc.constant(""), fc.stringMatching(/^[a-z0-9]{8}$/));
    fc.assert(
      fc.property(name, tag, name, tag, (one, oneTag, other, otherTag) => {
        const slug = slugOf(one, oneTag);
        expect(isSlug(slug)).toBe(true);
        expect(namesIn(slug)).toEqual({ name: one, tag: oneTag });
        expect(slug === slugOf(other, otherTag)).toBe(one === other && oneTag === otherTag);
      }),
    );
  });

  it("fits a DNS label of 63 characters and a Worker's name", () => {
    expect(slugOf("a".repeat(32), "abcd1234").length).toBeLessThanOrEqual(63);
  });
});

describe("the machine name made from a hostname", () => {
  it.each([
    ["attic", "attic"],
    ["Jeff's-MacBook.local", "jeffs-macbook"],
    ["Jeff’s MacBook Pro", "jeffs-macbook-pro"],
    ["DESKTOP_4F2A", "desktop-4f2a"],
    ["Büro-PC", "buro-pc"],
    ["a--b", "a-b"],
    ["-x-", "x"],
    ["work.corp.example.com", "work"],
    ["localhost", "machine-localhost"],
    ["API", "machine-api"],
    [`${"x".repeat(31)}-y`, "x".repeat(31)],
  ])("turns %j into %j", (hostname, name) => {
    expect(machineNameFrom(hostname)).toBe(name);
  });

  it.each(["", ".", "---", "日本", ".local", "💻"])("does not exist for %j", (hostname) => {
    expect(machineNameFrom(hostname)).toBeNull();
  });

  it("is always a valid name, or none", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "grapheme" }), fc.domain(), fc.string({ unit: "binary" })), (hostname) => {
        const name = machineNameFrom(hostname);
        expect(name === null || isMachineName(name)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it("of a valid name is that name, so that a second setup gives the same", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9](-?[a-z0-9]){0,15}$/).filter(isMachineName), (name) => {
        expect(machineNameFrom(name)).toBe(name);
      }),
    );
  });
});
