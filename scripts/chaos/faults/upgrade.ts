import { glob, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "../eventually.ts";
import type { World } from "../world.ts";
import type { Fault } from "./fault.ts";

/** An upgrade is started by the first dial after the restart, and uploads one script after the other. */
const UPGRADE_LIMIT_MS = 60_000;

/** No template has this version, so every script that has it is out of date. */
const OLDER = "00000000";

/**
 * Operator stops, and starts again as a release with another machine template: each script is of an older version than the one that
 * it would upload. All scripts must be replaced, and machines be back.
 */
export const UPGRADE: Fault = {
  name: "upgrade",
  weight: 1,
  async inject(world) {
    await world.operator.stop();
    for await (const record of glob(join(world.operator.stateFolder, "platform/namespaces/*/scripts/*/script.json")))
      await writeFile(record, withTemplate(await readFile(record, "utf8"), OLDER));
    await world.operator.start();
    if ((await eventually(UPGRADE_LIMIT_MS, () => areCurrent(world))) === null)
      world.ledger.violations.push(
        `after an upgrade, scripts of the older version were left after ${UPGRADE_LIMIT_MS} ms`,
      );
    return world.machines.map(({ name }) => name);
  },
};

function withTemplate(json: string, version: string): string {
  const record = JSON.parse(json) as { bindings: { name: string; text?: string }[] };
  const bindings = record.bindings.map((one) => (one.name === "TEMPLATE" ? { ...one, text: version } : one));
  return JSON.stringify({ ...record, bindings });
}

async function areCurrent({ operator }: World): Promise<boolean> {
  for await (const record of glob(join(operator.stateFolder, "platform/namespaces/*/scripts/*/script.json")))
    if ((await readFile(record, "utf8")).includes(`"${OLDER}"`)) return false;
  return true;
}
