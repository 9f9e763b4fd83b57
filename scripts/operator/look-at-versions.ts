import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import * as z from "zod";
import { parseJson } from "#protocol/json.ts";
import { PROGRAM } from "../local/program.ts";
import type { Finding } from "./finding.ts";

/** The build of this release's machine script (scripts/build/template.ts). */
const TEMPLATE = join(PROGRAM, "control-api/build/machine.version.txt");

const Record = z.looseObject({ tags: z.array(z.string()) });

/** Checks whether the machines' scripts are of this release. Older ones work; they are replaced one by one. */
export function lookAtVersions(stateDir: string, templateFile = TEMPLATE): Finding[] {
  if (!existsSync(templateFile)) return []; // nothing has been built here, so there is nothing to compare with
  const template = readFileSync(templateFile, "utf8").trim();
  const records = globSync(join(stateDir, "platform/namespaces/*/scripts/*/script.json"));
  // A tag is `template-<build>`, and since 0.3 `template-<build>-<fingerprint of the report secret>`.
  const current = new RegExp(`^template-${template}(?:-|$)`);
  const others = records.filter((path) => !tagsIn(path).some((tag) => current.test(tag)));
  if (records.length === 0) return [];
  if (others.length === 0) return [{ level: "ok", says: `all ${records.length} machine scripts are of this release` }];
  const names = others.map((path) => basename(dirname(path)));
  const some = names.length > 5 ? `${names.slice(0, 5).join(", ")} and ${names.length - 5} more` : names.join(", ");
  return [
    {
      level: "warning",
      says: `${others.length} of ${records.length} machine scripts are of another release: ${some}`,
      fix: "Each is replaced when its machine connects the next time. Until then it works as before.",
    },
  ];
}

function tagsIn(path: string): string[] {
  return Record.safeParse(parseJson(readFileSync(path, "utf8"))).data?.tags ?? [];
}
