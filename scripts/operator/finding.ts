/** The result of a check, as a sentence, and for a warning or problem also what to do. */
export type Finding =
  | { readonly level: "ok"; readonly says: string }
  | { readonly level: "warning" | "problem"; readonly says: string; readonly fix: string };

/** The finding as lines for a terminal. The fix is on a separate line, so that it can be copied. */
export function linesOf(finding: Finding): string[] {
  const label = { ok: "ok      ", warning: "warning ", problem: "PROBLEM " }[finding.level];
  return [`${label}${finding.says}`, ...(finding.level === "ok" ? [] : [`        ${finding.fix}`])];
}
