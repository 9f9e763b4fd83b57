/** What a check found, in a sentence; and, when something is not well, what to do. */
export type Finding =
  | { readonly level: "ok"; readonly says: string }
  | { readonly level: "warning" | "problem"; readonly says: string; readonly fix: string };

/** For a terminal. The fix is on a line of its own, so that it can be copied. */
export function lineOf(finding: Finding): string {
  const label = { ok: "ok      ", warning: "warning ", problem: "PROBLEM " }[finding.level];
  return finding.level === "ok" ? `${label}${finding.says}` : `${label}${finding.says}\n        ${finding.fix}`;
}
