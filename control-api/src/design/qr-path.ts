import { encodeQR } from "qr";

/** Light modules around the code (ISO/IEC 18004, section 6.3.8: the quiet zone). */
const QUIET_MODULES = 4;

/** The dark modules of a text's QR code as the path of an SVG of `size` by `size`: a rectangle for each run in a row. */
export function qrPathOf(text: string): { readonly size: number; readonly path: string } {
  const rows = encodeQR(text, "raw", { ecc: "medium", border: QUIET_MODULES });
  const runs = rows.flatMap((row, y) =>
    [
      ...row
        .map((isDark) => (isDark ? "#" : " "))
        .join("")
        .matchAll(/#+/g),
    ].map(({ index, 0: run }) => `M${index} ${y}h${run.length}v1h-${run.length}z`),
  );
  return { size: rows.length, path: runs.join("") };
}
