import type { TestUser } from "../../support/operator.ts";

/** A person's audit log, an entry a line: kind, machine, subject. */
export async function auditOf(user: TestUser): Promise<string[]> {
  const { entries } = await user.json<{ entries: { kind: string; machine: string | null; subject: string | null }[] }>(
    "/api/audit",
  );
  return entries.map(({ kind, machine, subject }) => `${kind} ${String(machine)} ${String(subject)}`);
}
