#!/usr/bin/env node
// Plain JavaScript, so that an old Node can run this file and print which version is required.
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

// Node runs TypeScript, and backs up SQLite, from this version on.
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(`operator needs Node 22.18 or newer; this is ${process.versions.node}. In a clone: npx operator ...`);
  process.exit(2);
}
await import("./main.ts");
