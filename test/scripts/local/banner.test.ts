import { expect, test } from "vitest";
import { banner } from "../../../scripts/local/banner.ts";

const LOCAL = {
  url: "http://127.0.0.1:8787",
  stateDir: "/state",
  claimCode: "AAAA-BBBB",
  tokenFile: "/home/ann/.codez/token",
};

test("a local start tells browsers a name, at which they offer passkeys, and programs the address", () => {
  const said = banner(LOCAL);
  expect(said).toContain("http://localhost:8787/claim#AAAA-BBBB");
  expect(said).toContain("In a browser  http://localhost:8787\n");
  expect(said).toContain("operator http://127.0.0.1:8787/mcp");
});

test("a public start has one address for all", () => {
  const said = banner({ ...LOCAL, url: "https://operator.example.com", tokenFile: null });
  expect(said).toContain("https://operator.example.com/claim#AAAA-BBBB");
  expect(said).not.toContain("localhost");
});

test("a start at another port says where codez finds it", () => {
  expect(banner(LOCAL)).toContain("npx codez setup  ");
  expect(banner({ ...LOCAL, url: "http://127.0.0.1:8791" })).toContain("npx codez setup --hub http://127.0.0.1:8791 ");
});
