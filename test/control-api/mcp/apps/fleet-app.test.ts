import { describe, expect, it } from "vitest";
import { MODERN, TestUser } from "../../support/operator.ts";

const URI = "ui://operator/fleet";
const TYPE = "text/html;profile=mcp-app";

describe.each([MODERN, "2025-11-25"])("a client of %s that renders views", (revision) => {
  it("finds the view of the fleet at the tools whose answers it shows", async () => {
    const { answer } = await new TestUser().rpc("tools/list", {}, revision);
    const tools = answer.result?.["tools"] as { name: string; _meta?: object }[];
    const shown = tools.filter(({ _meta }) => _meta !== undefined);
    expect(shown.map(({ name, _meta }) => [name, _meta])).toEqual(
      ["list_machines", "list_pending"].map((name) => [name, { ui: { resourceUri: URI } }]),
    );
  });

  it("reads it as one document that asks for no domain, without contacting a machine", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    const listed = await alice.rpc("resources/list", {}, revision);
    expect(listed.answer.result?.["resources"]).toEqual([expect.objectContaining({ uri: URI, mimeType: TYPE })]);
    const { answer } = await alice.rpc("resources/read", { uri: URI, name: URI }, revision);
    const [content] = (answer.result?.["contents"] ?? []) as { text: string }[];
    expect(content).toMatchObject({
      uri: URI,
      mimeType: TYPE,
      _meta: { ui: { csp: { connectDomains: [], resourceDomains: [] }, prefersBorder: true } },
    });
    expect(content?.text).toMatch(/^<!doctype html>/);
    expect(content?.text).not.toMatch(/innerHTML|eval\(|src=|href=|https?:\/\/[a-z]/);
    expect(await alice.reached("attic")).toEqual([]);
  });

  it("is told that there is nothing at another address", async () => {
    const { answer } = await new TestUser().rpc("resources/read", { uri: "ui://operator/other" }, revision);
    expect(answer.error).toBeDefined();
  });

  it("that renders none gets the same as text", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    for (const name of ["list_machines", "list_pending"]) {
      const { content, structuredContent } = await alice.tool(name, {}, revision);
      const [first] = content as { text: string }[];
      expect(JSON.parse(first?.text ?? "")).toEqual(structuredContent);
    }
  });
});
