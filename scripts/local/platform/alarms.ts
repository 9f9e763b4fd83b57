import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { isMissing } from "../file.ts";

/** Where workerd keeps the alarms of one Durable Object namespace, beside the objects' own databases. */
const DATABASE = "metadata.sqlite";
const TABLE = "_cf_ALARM";

/** Whether a Durable Object of the script has an alarm set. The script must then be started, because alarms fire only in a running workerd. */
export async function hasAlarms(storage: string): Promise<boolean> {
  const folder = join(storage, "do");
  try {
    const keys = await readdir(folder);
    return keys.some((key) => hasAlarm(join(folder, key, DATABASE)));
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

function hasAlarm(path: string): boolean {
  if (!existsSync(path)) return false;
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const table = database.prepare("SELECT 1 FROM sqlite_master WHERE name = ?").get(TABLE);
    return table !== undefined && database.prepare(`SELECT 1 FROM ${TABLE} LIMIT 1`).get() !== undefined;
  } finally {
    database.close();
  }
}
