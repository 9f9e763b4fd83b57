import { randomUUID } from "node:crypto";
import { fail } from "./error.ts";
import type { Migrations, MigrationStep } from "./metadata.ts";

/** A Durable Object class that a migration created. `key` names its storage folder; a rename keeps it, and with it the objects. */
interface DurableClass {
  readonly key: string;
  readonly sqlite: boolean;
}
export type DurableClasses = Readonly<Record<string, DurableClass>>;

export interface Migrated {
  readonly classes: DurableClasses;
  readonly tag: string | undefined;
  /** Keys of deleted classes, whose storage must be deleted too. */
  readonly dropped: readonly string[];
}

/**
 * The classes after an upload's migrations. As on Cloudflare, `old_tag` must equal the script's current tag, so an upload
 * that repeats a migration fails: when a caller replaces a script, it sends only the migrations not yet applied.
 * @throws PlatformFailure `migration_mismatch`, `migration_invalid`
 */
export function migrate(current: DurableClasses, tag: string | undefined, asked: Migrations | undefined): Migrated {
  if (!asked) return { classes: current, tag, dropped: [] };
  const tagged = asked.old_tag !== undefined || asked.new_tag !== undefined;
  if (tagged && (asked.old_tag || undefined) !== tag) fail({ code: "migration_mismatch", current: tag });
  const classes = new Map(Object.entries(current));
  const dropped: string[] = [];
  for (const step of asked.steps ?? [asked]) apply(step, classes, dropped);
  return { classes: Object.fromEntries(classes), tag: asked.new_tag ?? tag, dropped };
}

function apply(step: MigrationStep, classes: Map<string, DurableClass>, dropped: string[]): void {
  const create = (name: string, sqlite: boolean) => {
    if (classes.has(name))
      invalid(
        `Cannot apply new-class migration to class '${name}' that is already depended on by existing Durable Objects`,
      );
    classes.set(name, { key: `${name}-${randomUUID()}`, sqlite });
  };
  for (const name of step.new_sqlite_classes ?? []) create(name, true);
  for (const name of step.new_classes ?? []) create(name, false);
  for (const { from, to } of step.renamed_classes ?? []) {
    const found = classes.get(from);
    if (!found) return invalid(`Cannot apply renamed_classes migration to non-existent class '${from}'`);
    if (classes.has(to)) invalid(`Cannot rename class '${from}' to '${to}', which exists`);
    classes.delete(from);
    classes.set(to, found);
  }
  for (const name of step.deleted_classes ?? []) {
    const found = classes.get(name);
    if (!found) return invalid(`Cannot apply deleted_classes migration to non-existent class '${name}'`);
    classes.delete(name);
    dropped.push(found.key);
  }
}

function invalid(message: string): never {
  return fail({ code: "migration_invalid", message });
}
