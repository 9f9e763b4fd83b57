import { describe, expect, it } from "vitest";
import { machineAddressIn, machinePath, machineUrls, readdress } from "#protocol/address.ts";

describe("a URL names a machine", () => {
  it.each([
    ["by host", "https://attic.op.example/mcp?a=1", { slug: "attic", path: "/mcp" }],
    ["by path", "https://op.example/m/attic/mcp", { slug: "attic", path: "/mcp" }],
    ["by path without a slash after it", "https://op.example/m/attic", { slug: "attic", path: "/" }],
    ["by host before the path", "https://attic.op.example/m/cellar/mcp", { slug: "attic", path: "/m/cellar/mcp" }],
    ["by path on a host of two labels", "https://a.b.op.example/m/attic/mcp", { slug: "attic", path: "/mcp" }],
    ["with its escapes kept", "https://op.example/m/attic/a%2Fb", { slug: "attic", path: "/a%2Fb" }],
    ["with an empty slug, for isSlug to refuse", "https://op.example/m//mcp", { slug: "", path: "/mcp" }],
  ])("%s", (_, url, address) => {
    expect(machineAddressIn(new URL(url), "op.example")).toEqual(address);
  });

  it.each([
    ["the apex", "https://op.example/mcp"],
    ["a path that only begins alike", "https://op.example/machines/attic"],
    ["/m alone", "https://op.example/m"],
    ["a host of two labels", "https://a.b.op.example/mcp"],
    ["a host that only ends alike", "https://shop.example/mcp"],
  ])("%s names no machine", (_, url) => {
    expect(machineAddressIn(new URL(url), "op.example")).toBeNull();
  });
});

describe("a machine's URLs", () => {
  it("use the Operator's host with a path, or the machine's own host, and ws for the link", () => {
    expect(machineUrls("attic", "https://op.example", "op.example")).toEqual({
      mcpUrl: "https://op.example/m/attic/mcp",
      mcpHostUrl: "https://attic.op.example/mcp",
      linkUrl: "wss://op.example/m/attic/link",
    });
  });

  it("keep the port and the scheme of the Operator's origin", () => {
    expect(machineUrls("attic", "http://127.0.0.1:8787", "localhost")).toEqual({
      mcpUrl: "http://127.0.0.1:8787/m/attic/mcp",
      mcpHostUrl: "http://attic.localhost:8787/mcp",
      linkUrl: "ws://127.0.0.1:8787/m/attic/link",
    });
  });

  it("are read back as the same machine", () => {
    const { mcpUrl, mcpHostUrl } = machineUrls("attic--abcdefgh", "https://op.example", "op.example");
    for (const url of [mcpUrl, mcpHostUrl])
      expect(machineAddressIn(new URL(url), "op.example")).toEqual({ slug: "attic--abcdefgh", path: "/mcp" });
  });
});

describe("after a rename", () => {
  it.each([
    ["by path", `wss://op.example${machinePath("attic", "/link")}`, "wss://op.example/m/cellar/link"],
    ["by host", "https://attic.op.example/mcp", "https://cellar.op.example/mcp"],
    ["of another machine by path", "https://op.example/m/attic2/mcp", "https://op.example/m/attic2/mcp"],
    ["of another machine by host", "https://attic2.op.example/mcp", "https://attic2.op.example/mcp"],
  ])("an address %s follows only its own machine", (_, before, after) => {
    expect(readdress(before, "attic", "cellar")).toBe(after);
  });
});
