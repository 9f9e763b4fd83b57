#!/usr/bin/env node
// The program of `operator.tgz`. Plain JavaScript, so that an old Node can run this file and print which version is required.
const [major = 0] = process.versions.node.split(".").map(Number);

// Operator releases what a failed start has opened with AsyncDisposableStack, which Node has from this version on.
if (major < 24) {
  console.error(`operator needs Node 24 or newer; this is ${process.versions.node}. Get one at https://nodejs.org`);
  process.exit(2);
}
await import("./build/operator.js");
