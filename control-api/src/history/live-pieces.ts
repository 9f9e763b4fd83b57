import { LIVE_PIECE_CHARACTERS, LIVE_PIECES } from "./limits.ts";

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
 * Each machine has a room of its own, so that one cannot push out another's.
 */
export class LivePieces {
  readonly #byMachine = new Map<number, LivePiece[]>();

  add(piece: LivePiece): void {
    if (piece.data.length > LIVE_PIECE_CHARACTERS) return;
    const pieces = this.#byMachine.get(piece.machine) ?? [];
    pieces.push(piece);
    if (pieces.length > LIVE_PIECES) pieces.shift();
    this.#byMachine.set(piece.machine, pieces);
  }

  /** Those after a sequence number that are wanted, in order. */
  after(seq: number, isWanted: (piece: LivePiece) => boolean): LivePiece[] {
    return [...this.#byMachine.values()]
      .flatMap((pieces) => pieces.filter((piece) => piece.seq > seq && isWanted(piece)))
      .sort((one, other) => one.seq - other.seq);
  }

  forget(machine: number): void {
    this.#byMachine.delete(machine);
  }
}
