import { fileURLToPath } from "node:url";
import { buildCodez } from "./codez.ts";
import { buildTemplate } from "./template.ts";

/** Builds what one runtime needs from another: `codez` for machines, the machine template for the control API. */
async function build(): Promise<void> {
  await Promise.all([buildCodez(), buildTemplate()]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await (process.argv[2] === "codez" ? buildCodez() : build());
