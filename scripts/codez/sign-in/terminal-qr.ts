import { encodeQR } from "qr";

/** Light modules around the code. The standard asks for four, and phones are content with two; a terminal has few lines. */
const QUIET_MODULES = 2;

/** Black on white whatever the terminal's own colours are: most phones do not read a code that is light on dark. */
const [BLACK_ON_WHITE, RESET] = ["\u001b[30;107m", "\u001b[0m"];

/** Two modules, one above the other, as one character: upper dark, lower dark. */
const HALVES = { both: "█", upper: "▀", lower: "▄", none: " " } as const;

/** A QR code for a terminal with so many columns; `null` if it is too narrow. Without an end of line after the last one. */
export function terminalQr(text: string, columns: number): string | null {
  const rows = encodeQR(text, "raw", { ecc: "low", border: QUIET_MODULES });
  if (rows.length > columns) return null;
  const lines: string[] = [];
  for (let y = 0; y < rows.length; y += 2) {
    const [upper = [], lower = []] = [rows[y], rows[y + 1]];
    const line = upper.map((isDark, x) => HALVES[halfOf(isDark, lower[x] ?? false)]).join("");
    lines.push(`${BLACK_ON_WHITE}${line}${RESET}`);
  }
  return lines.join("\n");
}

/** Whether a terminal shows colours and block characters: not in a file, and not where its person has turned colours off. */
export function showsQr(isTerminal: boolean, environment: Readonly<Record<string, string | undefined>>): boolean {
  return isTerminal && environment["TERM"] !== "dumb" && !environment["NO_COLOR"];
}

function halfOf(isUpperDark: boolean, isLowerDark: boolean): keyof typeof HALVES {
  if (isUpperDark) return isLowerDark ? "both" : "upper";
  return isLowerDark ? "lower" : "none";
}
