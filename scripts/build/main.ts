import { fileURLToPath } from "node:url";
import { buildCodez } from "./codez.ts";
import { buildHost } from "./host.ts";
import { buildTemplate } from "./template.ts";

/** Builds what one runtime needs from another: `codez` for machines, the machine template and the wrapper of hosted servers for the control API. */
async function build(): Promise<void> {
  await Promise.all([buildCodez(), buildTemplate(), buildHost()]);
}

/** `npm run build:operator`: the tarball embeds what the other builds make. */
async function pack(): Promise<void> {
  await build();
  // Loaded here and not above: each start of Operator runs this file, and none of them packs.
  const { buildOperator } = await import("./operator.ts");
  console.log(await buildOperator());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , what] = process.argv;
  await (what === "codez" ? buildCodez() : what === "operator" ? pack() : build());
}
