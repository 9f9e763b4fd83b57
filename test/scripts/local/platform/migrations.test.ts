import { expect, test } from "vitest";
import { PlatformFailure } from "../../../../scripts/local/platform/error.ts";
import { migrate } from "../../../../scripts/local/platform/migrations.ts";

const first = migrate({}, undefined, { new_tag: "v1", new_sqlite_classes: ["Machine"], new_classes: ["Old"] });

function codeOf(body: () => unknown): string | undefined {
  try {
    body();
  } catch (error) {
    if (error instanceof PlatformFailure) return error.error.code;
  }
  return undefined;
}

test("new classes get storage of their own kind", () => {
  expect(first.tag).toBe("v1");
  expect(first.classes["Machine"]?.sqlite).toBe(true);
  expect(first.classes["Old"]?.sqlite).toBe(false);
  expect(migrate(first.classes, first.tag, undefined)).toEqual({ classes: first.classes, tag: "v1", dropped: [] });
});

test("a renamed class keeps its storage and a deleted one gives it up", () => {
  const steps = [{ renamed_classes: [{ from: "Machine", to: "Box" }] }, { deleted_classes: ["Old"] }];
  const next = migrate(first.classes, "v1", { old_tag: "v1", new_tag: "v2", steps });
  expect(next.classes).toEqual({ Box: first.classes["Machine"] });
  expect(next.dropped).toEqual([first.classes["Old"]?.key]);
});

test("a migration that does not fit the script's current state is refused", () => {
  expect(codeOf(() => migrate(first.classes, "v1", { new_tag: "v1", new_sqlite_classes: ["Machine"] }))).toBe(
    "migration_mismatch",
  );
  expect(codeOf(() => migrate(first.classes, "v1", { old_tag: "v0", new_tag: "v2" }))).toBe("migration_mismatch");
  expect(codeOf(() => migrate(first.classes, "v1", { old_tag: "v1", new_tag: "v2", new_classes: ["Old"] }))).toBe(
    "migration_invalid",
  );
  expect(codeOf(() => migrate({}, undefined, { deleted_classes: ["Old"] }))).toBe("migration_invalid");
  expect(codeOf(() => migrate({}, undefined, { renamed_classes: [{ from: "A", to: "B" }] }))).toBe("migration_invalid");
});
