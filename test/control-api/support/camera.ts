import { decodeQR } from "qr/decode.js";

/** Pixels of a module in the picture that the decoder gets. */
const SCALE = 4;

/** What a camera would read in the first QR code of a page: the paths are drawn, and the picture is decoded. */
export function scanned(page: string): string {
  const [, svg = ""] = /<svg class="qr"([\s\S]*?)<\/svg>/.exec(page) ?? [];
  const width = Number(/viewBox="0 0 (\d+) /.exec(svg)?.[1] ?? 0) * SCALE;
  const path = svg.slice(svg.lastIndexOf(" d="));
  const data = new Uint8ClampedArray(width * width * 4).fill(255);
  for (const [, x = "", y = "", run = ""] of path.matchAll(/M(\d+) (\d+)h(\d+)/g))
    for (let row = Number(y) * SCALE; row < (Number(y) + 1) * SCALE; row += 1)
      for (let column = Number(x) * SCALE; column < (Number(x) + Number(run)) * SCALE; column += 1)
        data.fill(0, (row * width + column) * 4, (row * width + column) * 4 + 3);
  return decodeQR({ width, height: width, data });
}
