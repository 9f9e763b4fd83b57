import { LIVE_CHARACTERS, LIVE_PIECE_CHARACTERS, LIVE_PIECES } from "./limits.ts";

/** What a piece takes besides its data, in characters: its numbers, its type of at most 64 and its session of at most 200. */
const PIECE_HEAD = 300;

export type LivePiece = {
  readonly seq: number;
  readonly machine: number;
  readonly machineSeq: number;
  readonly atMs: number;
  readonly type: string;
  readonly session: string | null;
  readonly data: string;
};

/**
 * The newest pieces of unfinished messages, in memory only. They are for a live view: each message follows as a whole, which is
 * stored. So they cost no write, and a restart loses nothing that matters.
 *
 * Each machine has a room of its own, so that one cannot push out another's. If all of them are too large together, the machine that was
 * silent for longest loses its pieces.
 */
export class LivePieces {
  /** In the order in which the machines last sent a piece. */
  readonly #byMachine = new Map<number, LivePiece[]>();
  #characters = 0;

  add(piece: LivePiece): void {
    if (piece.data.length > LIVE_PIECE_CHARACTERS) return;
    const pieces = this.#byMachine.get(piece.machine) ?? [];
    pieces.push(piece);
    this.#characters += sizeOf(piece);
    if (pieces.length > LIVE_PIECES) this.#characters -= sizesOf(pieces.splice(0, 1));
    this.#byMachine.delete(piece.machine);
    this.#byMachine.set(piece.machine, pieces);
    for (const silent of this.#byMachine.keys()) {
      if (this.#characters <= LIVE_CHARACTERS) break;
      this.forget(silent);
    }
  }

  /** Those after a sequence number that are wanted, in order. */
  after(seq: number, isWanted: (piece: LivePiece) => boolean): LivePiece[] {
    return [...this.#byMachine.values()]
      .flatMap((pieces) => pieces.filter((piece) => piece.seq > seq && isWanted(piece)))
      .sort((one, other) => one.seq - other.seq);
  }

  forget(machine: number): void {
    this.#characters -= sizesOf(this.#byMachine.get(machine) ?? []);
    this.#byMachine.delete(machine);
  }
}

function sizeOf({ data }: LivePiece): number {
  return PIECE_HEAD + data.length;
}

function sizesOf(pieces: readonly LivePiece[]): number {
  return pieces.reduce((sum, piece) => sum + sizeOf(piece), 0);
}
