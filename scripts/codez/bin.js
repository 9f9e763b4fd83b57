#!/usr/bin/env node
// Plain JavaScript, for any Node: says what is missing instead of failing to parse.
import { existsSync } from "node:fs";

const program = new URL("build/codez.js", import.meta.url);
const [major = 0] = process.versions.node.split(".").map(Number);

if (major < 20) {
  console.error(`codez needs Node 20 or newer; this is ${process.versions.node}.`);
  process.exit(1);
}
if (!existsSync(program)) {
  console.error("codez has not been built: run `npm ci` in this folder first.");
  process.exit(1);
}
await import(program.href);
