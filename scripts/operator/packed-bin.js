#!/usr/bin/env -S node --max-semi-space-size=1
// The program of `operator.tgz`. Plain JavaScript, so that an old Node can run this file and print which version is required.
// The option bounds V8's young generation: the front keeps little, and without it keeps 10 to 40 MB more after load.
const [major = 0] = process.versions.node.split(".").map(Number);

// Operator releases what a failed start has opened with AsyncDisposableStack, which Node has from this version on.
if (major < 24) {
  console.error(`operator needs Node 24 or newer; this is ${process.versions.node}. Get one at https://nodejs.org`);
  process.exit(2);
}
await import("./build/operator.js");
