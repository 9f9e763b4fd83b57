import { existsSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Where workerd keeps the alarms of all Durable Objects below one storage folder, and how it calls them. */
const DATABASE = ["do", "metadata.sqlite"];
const TABLE = "_cf_ALARM";

/** Whether an alarm waits in a script's storage: it has to run to fire, even if nobody calls it. */
export function hasAlarms(storage: string): boolean {
  const path = join(storage, ...DATABASE);
  if (!existsSync(path)) return false;
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const table = database.prepare("SELECT 1 FROM sqlite_master WHERE name = ?").get(TABLE);
    return table !== undefined && database.prepare(`SELECT 1 FROM ${TABLE} LIMIT 1`).get() !== undefined;
  } finally {
    database.close();
  }
}
