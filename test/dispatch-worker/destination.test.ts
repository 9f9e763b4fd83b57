import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { destinationOf } from "../../dispatch-worker/src/destination.ts";
import { URLS } from "../attacks/corpus/hostile-text.ts";
import { codeOf, dispatch, trusted } from "./support/namespace.ts";

/** Where a trusted request ended up: slug and the path the script saw, or the error's code. */
async function destination(url: string, headers: Record<string, string> = {}): Promise<string> {
  const { response, reached, asked } = await dispatch(url, { headers: trusted(headers) });
  const [first] = reached;
  if (first === undefined) {
    expect(asked).toEqual([]); // the namespace is never asked for an invalid slug
    return codeOf(response);
  }
  const { pathname, search } = new URL(first.request.url);
  return `${first.slug} ${pathname}${search}`;
}

describe("a machine is named", () => {
  it.each([
    ["by the header", "http://gate.example/mcp?a=1", { "x-operator-machine": "attic" }, "attic /mcp?a=1"],
    ["by the host", "http://cellar.localhost/mcp?a=1", {}, "cellar /mcp?a=1"],
    ["by the path", "http://localhost/m/attic/mcp?a=1", {}, "attic /mcp?a=1"],
    [
      "by the header before the host and the path",
      "http://cellar.localhost/m/cellar/mcp",
      { "x-operator-machine": "attic" },
      "attic /m/cellar/mcp",
    ],
    ["by the host before the path", "http://cellar.localhost/m/attic/mcp", {}, "cellar /m/attic/mcp"],
    ["by a host in upper case, for hosts have none", "http://CELLAR.LOCALHOST/mcp", {}, "cellar /mcp"],
    ["by a host with a port", "http://cellar.localhost:8787/mcp", {}, "cellar /mcp"],
    ["by the path of any host but a machine's", "http://127.0.0.1/m/cellar/mcp", {}, "cellar /mcp"],
    [
      "by the path of a host of two labels, which is no machine's",
      "http://a.b.localhost/m/attic/mcp",
      {},
      "attic /mcp",
    ],
    ["with nothing after it", "http://localhost/m/attic", {}, "attic /"],
    [
      "with its path's own escapes kept as they are",
      "http://localhost/m/attic/mcp%2F..%2f%00?x=%2e",
      {},
      "attic /mcp%2F..%2f%00?x=%2e",
    ],
    [
      "with double slashes that stay in its own path",
      "http://localhost/m/attic//cellar.localhost/mcp",
      {},
      "attic //cellar.localhost/mcp",
    ],
    ["after dots that the URL's own rules resolve", "http://localhost/m/cellar/../attic/mcp", {}, "attic /mcp"],
    [
      "after dots that are percent-encoded, which the same rules resolve",
      "http://localhost/m/cellar/%2e%2e/attic/mcp",
      {},
      "attic /mcp",
    ],
  ] as const)("%s", async (_, url, headers, expected) => {
    expect(await destination(url, headers)).toBe(expected);
  });

  it.each([
    ["dots that leave /m", "http://localhost/m/../mcp"],
    ["encoded dots that leave /m", "http://localhost/m/%2e%2e/mcp"],
    ["encoded dots in upper case", "http://localhost/m/%2E%2E/mcp"],
    ["backslashes, which a URL takes for slashes", "http://localhost/m\\..\\mcp"],
    ["an encoded slash", "http://localhost/m/attic%2fmcp"],
    ["an encoded slash in the slug", "http://localhost/m/attic%2F..%2Fcellar/mcp"],
    ["a doubly encoded slash", "http://localhost/m/attic%252fmcp"],
    ["an encoded letter", "http://localhost/m/%61ttic/mcp"],
    ["upper case", "http://localhost/m/Attic/mcp"],
    ["no slug", "http://localhost/m//mcp"],
    ["no slug and a slug after it", "http://localhost/m//attic/mcp"],
    ["double slashes before it", "http://localhost//m/attic/mcp"],
    ["a trailing dot", "http://localhost/m/attic./mcp"],
    ["a semicolon", "http://localhost/m/attic;cellar/mcp"],
    ["a NUL", "http://localhost/m/attic%00/mcp"],
    ["unicode", "http://localhost/m/аttic/mcp"],
    ["another folder", "http://localhost/machines/attic/mcp"],
    ["the folder in upper case", "http://localhost/M/attic/mcp"],
    ["a host with a trailing dot", "http://attic.localhost./mcp"],
    ["a host of two labels", "http://a.attic.localhost/mcp"],
    ["a host of an empty label", "http://.localhost/mcp"],
    ["a unicode host", "http://аttic.localhost/mcp"],
    ["a punycode host", "http://xn--ttic-53d.localhost/mcp"],
    ["a reserved host", "http://api.localhost/mcp"],
    ["a host that only ends alike", "http://attic-localhost/mcp"],
    ["somebody else's host", "http://attic.localhost.evil.example/mcp"],
    ["a reserved name by path", "http://localhost/m/oauth/mcp"],
    ["nothing", "http://localhost/mcp"],
  ])("not by %s", async (_, url) => {
    expect(await destination(url)).toBe("machine_unknown");
  });

  it.each([
    "",
    "Attic",
    "attic/../cellar",
    "attic cellar",
    "attic,cellar",
    "../attic",
    "attic.localhost",
    "api",
    "xn--ttic-53d",
  ])("not by the header %j, which rules out all other ways too", async (name) => {
    expect(await destination("http://cellar.localhost/m/attic/mcp", { "x-operator-machine": name })).toBe(
      "machine_unknown",
    );
  });

  it("by its whole script name, if its user has a tag", async () => {
    const scripts = { "attic--abcd1234": () => new Response("theirs") };
    for (const url of ["http://attic--abcd1234.localhost/mcp", "http://localhost/m/attic--abcd1234/mcp"]) {
      const { response } = await dispatch(url, { headers: trusted() }, { scripts });
      expect(await response.text()).toBe("theirs");
    }
  });

  it("under the Operator's own domain", async () => {
    const DOMAIN = "operator.example.com";
    const under = async (host: string): Promise<string> => {
      const { response, reached } = await dispatch(`https://${host}/mcp`, { headers: trusted() }, { DOMAIN });
      return reached[0]?.slug ?? codeOf(response);
    };
    expect(await under("attic.operator.example.com")).toBe("attic");
    expect(await under("attic.example.com")).toBe("machine_unknown");
    expect(await under("atticoperator.example.com")).toBe("machine_unknown");
    expect(await under("attic.localhost")).toBe("machine_unknown");
  });
});

describe("an arbitrary address", () => {
  const piece = fc.constantFrom(
    "/m/",
    "attic",
    "--",
    "12345678",
    "%2f",
    "%61",
    "..",
    "/",
    "//",
    "\\",
    ".",
    "A",
    "mcp",
    "?",
    "#",
    "@",
    "é",
  );
  const path = fc.array(piece, { maxLength: 8 }).map((pieces) => `http://localhost/${pieces.join("")}`);
  const host = fc
    .array(fc.constantFrom("attic", ".", "-", "--", "localhost", "xn--", "1"), { maxLength: 5 })
    .map((labels) => `http://${labels.join("")}.localhost/mcp`);

  it("leads to a script with a safe name, or to none, and a stranger's header has no effect", () => {
    const check = (address: string): void => {
      if (!URL.canParse(address)) return;
      const url = new URL(address);
      const request = new Request("http://localhost/", { headers: { "x-operator-machine": "hall" } });
      const found = destinationOf(request, url, "localhost", false);
      if (found === null) return;
      expect(found.slug).toMatch(/^[a-z0-9](?:-?[a-z0-9])*(?:--[a-z0-9]{8})?$/);
      expect(found.slug).not.toBe("hall");
      expect(found.path).toMatch(/^\//);
      expect(url.href).toContain(found.slug);
    };
    const examples: [string][] = URLS.map((one) => [one]);
    fc.assert(fc.property(fc.oneof(path, host), check), { examples, numRuns: 2_000 });
  });
});
