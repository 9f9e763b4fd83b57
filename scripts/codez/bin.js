#!/usr/bin/env node
// Plain JavaScript, so that an old Node can still run it and say what is missing.
const [major = 0] = process.versions.node.split(".").map(Number);

if (major < 20) {
  console.error(`codez needs Node 20 or newer; this is ${process.versions.node}.`);
  process.exit(2);
}
import("./build/codez.js").catch((reason) => {
  if (reason.code !== "ERR_MODULE_NOT_FOUND") throw reason;
  console.error("codez is not built yet. Run: npm ci");
  process.exit(2);
});
