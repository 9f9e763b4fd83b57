// Root cause: the program that every machine is to run was served without anything that a copy of it could be compared with.
import { expect, test } from "vitest";
import { ask } from "../../control-api/sign-in/support/visitor.ts";

test("Operator publishes the digest of codez.tgz as a header and as a file that sha256sum checks", async () => {
  const response = await ask("/codez.tgz");
  const bytes = await response.arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  expect(bytes.byteLength).toBeGreaterThan(100_000);
  expect(response.headers.get("repr-digest")).toBe(`sha-256=:${btoa(String.fromCodePoint(...digest))}:`);
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const file = await ask("/codez.tgz.sha256");
  expect(file.headers.get("content-type")).toMatch(/^text\/plain/);
  expect(await file.text()).toBe(`${hex}  codez.tgz\n`);
});
