import { fileURLToPath } from "node:url";
import { buildCodez } from "./codez.ts";
import { buildHost } from "./host.ts";
import { buildTemplate } from "./template.ts";

/** Builds what one runtime needs from another: `codez` for machines, the machine template and the wrapper of hosted servers for the control API. */
async function build(): Promise<void> {
  await Promise.all([buildCodez(), buildTemplate(), buildHost()]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await (process.argv[2] === "codez" ? buildCodez() : build());
