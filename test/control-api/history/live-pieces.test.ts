import { describe, expect, it } from "vitest";
import { LIVE_CHARACTERS, LIVE_PIECE_CHARACTERS, LIVE_PIECES } from "../../../control-api/src/history/limits.ts";
import { type LivePiece, LivePieces } from "../../../control-api/src/history/live-pieces.ts";

let seq = 0;

function piece(machine: number, data: string): LivePiece {
  seq += 1;
  return { seq, machine, machineSeq: seq, atMs: 0, type: "message.delta", session: null, data };
}

/** The machines that have pieces, and how many. */
function counts(pieces: LivePieces): Record<number, number> {
  const found: Record<number, number> = {};
  for (const { machine } of pieces.after(0, () => true)) found[machine] = (found[machine] ?? 0) + 1;
  return found;
}

describe("pieces of unfinished messages", () => {
  it("have a limit for all machines together, and those of the machine that was silent for longest go first", () => {
    const pieces = new LivePieces();
    const fill = (machine: number): void => {
      for (let count = 0; count < LIVE_PIECES; count += 1)
        pieces.add(piece(machine, "x".repeat(LIVE_PIECE_CHARACTERS)));
    };
    const most = Math.floor(LIVE_CHARACTERS / (LIVE_PIECES * LIVE_PIECE_CHARACTERS));
    for (let machine = 1; machine < most; machine += 1) fill(machine);
    pieces.add(piece(1, "last of the first"));
    fill(most);
    fill(100);
    const left = counts(pieces);
    expect(left[100]).toBe(LIVE_PIECES);
    expect(left[1]).toBe(LIVE_PIECES);
    expect(left[2]).toBeUndefined();
    expect(pieces.after(0, () => true).reduce((sum, { data }) => sum + data.length, 0)).toBeLessThan(LIVE_CHARACTERS);
  });

  it("without any data have a limit, too", () => {
    const pieces = new LivePieces();
    for (let machine = 1; machine <= 1_000; machine += 1)
      for (let count = 0; count < LIVE_PIECES; count += 1) pieces.add(piece(machine, ""));
    const left = Object.keys(counts(pieces));
    expect(left.length).toBeLessThan(300);
    expect(left).toContain("1000");
  });

  it("make room for newer ones of the same machine, whose number stays the same", () => {
    const pieces = new LivePieces();
    for (let count = 0; count < 20 * LIVE_PIECES; count += 1) pieces.add(piece(1, "x".repeat(LIVE_PIECE_CHARACTERS)));
    expect(counts(pieces)).toEqual({ 1: LIVE_PIECES });
  });

  it("of a machine that was forgotten make room", () => {
    const pieces = new LivePieces();
    for (let times = 0; times < 20; times += 1) {
      for (let count = 0; count < LIVE_PIECES; count += 1) pieces.add(piece(1, "x".repeat(LIVE_PIECE_CHARACTERS)));
      pieces.forget(1);
    }
    pieces.add(piece(2, "x"));
    pieces.add(piece(3, "x"));
    expect(counts(pieces)).toEqual({ 2: 1, 3: 1 });
  });
});
