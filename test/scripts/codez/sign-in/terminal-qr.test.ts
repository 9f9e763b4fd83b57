import readQr from "qr/decode.js";
import { expect, test } from "vitest";
import { showsQr, terminalQr } from "../../../../scripts/codez/sign-in/terminal-qr.ts";

/** Black on bright white, and the terminal's own colours again. */
const [BEGIN, END] = ["\u001b[30;107m", "\u001b[0m"];

/** Pixels of each module: a camera sees more than one. */
const SCALE = 4;

/** What a phone's camera sees of it: each character as two modules, dark where it is drawn. */
function photographed(shown: string): { width: number; height: number; data: Uint8Array } {
  const dark = shown.split("\n").flatMap((line) => {
    const modules = Array.from(line.slice(BEGIN.length, -END.length));
    return [modules.map((one) => "█▀".includes(one)), modules.map((one) => "█▄".includes(one))];
  });
  const [width, height] = [(dark[0]?.length ?? 0) * SCALE, dark.length * SCALE];
  const data = new Uint8Array(width * height * 4).fill(255);
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1)
      if (dark[Math.floor(y / SCALE)]?.[Math.floor(x / SCALE)] === true)
        data.fill(0, (y * width + x) * 4, (y * width + x) * 4 + 3);
  return { width, height, data };
}

const LINK = "https://operator.example.com/pair?code=WDJB-MJHT";

test("a code in a terminal is the link, black on white, in a terminal of 80 columns and 24 lines", () => {
  const shown = terminalQr(LINK, 80) ?? "";
  expect(readQr(photographed(shown))).toBe(LINK);
  expect(shown.split("\n").length).toBeLessThan(20);
  for (const line of shown.split("\n"))
    expect(line).toSatisfy((one: string) => one.startsWith(BEGIN) && one.endsWith(END));
});

test("there is none where it would be broken: in a narrow terminal, in a file, without colours", () => {
  expect(terminalQr(LINK, 20)).toBeNull();
  expect(showsQr(true, { TERM: "xterm" })).toBe(true);
  expect(showsQr(false, { TERM: "xterm" })).toBe(false);
  expect(showsQr(true, { TERM: "dumb" })).toBe(false);
  expect(showsQr(true, { NO_COLOR: "1" })).toBe(false);
});
