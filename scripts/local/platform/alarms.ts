import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { isMissing } from "../../system/is-missing.ts";

/** Where workerd keeps the alarms of one Durable Object namespace, beside the objects' own databases. */
const DATABASE = "metadata.sqlite";
const TABLE = "_cf_ALARM";

/** workerd stores times in nanoseconds. */
const NANOSECONDS = 1_000_000;

/** workerd locks the database for moments, such as when it stops and writes its log back. */
const BUSY_MS = 1_000;

/** When the next alarm of the script's Durable Objects is due, in milliseconds since 1970; `null` when none is set. */
export async function nextAlarmMs(storage: string): Promise<number | null> {
  const folder = join(storage, "do");
  try {
    const keys = await readdir(folder);
    const times = keys.flatMap((key) => alarmIn(join(folder, key, DATABASE)) ?? []);
    return times.length === 0 ? null : Math.min(...times);
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

function alarmIn(path: string): number | null {
  if (!existsSync(path)) return null;
  const database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS });
  try {
    const table = database.prepare("SELECT 1 FROM sqlite_master WHERE name = ?").get(TABLE);
    if (table === undefined) return null;
    const first = database.prepare(`SELECT min(scheduled_time) / ${NANOSECONDS} AS dueMs FROM ${TABLE}`).get();
    return typeof first?.["dueMs"] === "number" ? first["dueMs"] : null;
  } finally {
    database.close();
  }
}
