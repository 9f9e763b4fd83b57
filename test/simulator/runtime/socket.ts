import { kernel } from "./kernel.ts";

type Frame = { readonly text: string } | { readonly close: { code: number; reason: string } };

/** A cut takes what is on its way in the middle of a frame. Only whole frames arrive. */
function within(frames: readonly Frame[], bytes: number): Frame[] {
  const arrived: Frame[] = [];
  let left = bytes;
  for (const frame of frames) {
    left -= "text" in frame ? frame.text.length + FRAME_HEAD_BYTES : FRAME_HEAD_BYTES;
    if (left < 0) break;
    arrived.push(frame);
  }
  return arrived;
}

/** The head of a short WebSocket frame (RFC 6455 section 5.2). */
const FRAME_HEAD_BYTES = 4;

/**
 * One end of a WebSocket. What is sent lies on the wire until the simulator delivers it, and is lost if the wire is cut before. The
 * script's end survives hibernation with its attachment.
 */
export class SimulatedSocket {
  readyState = 1;
  binaryType = "arraybuffer";
  /** Frames on their way to the other end. */
  wire: Frame[] = [];
  peer: SimulatedSocket = this;
  /** When the wire was cut, by Operator's clock. */
  cutMs: number | null = null;
  #attachment: string | null = null;

  static pair(): [SimulatedSocket, SimulatedSocket] {
    const [one, other] = [new SimulatedSocket(), new SimulatedSocket()];
    one.peer = other;
    other.peer = one;
    return [one, other];
  }

  accept(): void {}

  send(text: string): void {
    if (this.readyState !== 1) throw new Error("the socket is closed");
    kernel.touch();
    this.wire.push({ text });
  }

  close(code = 1000, reason = ""): void {
    if (this.readyState !== 1) return;
    this.readyState = 2;
    this.wire.push({ close: { code, reason } });
  }

  serializeAttachment(value: unknown): void {
    this.#attachment = JSON.stringify(value);
  }

  deserializeAttachment(): unknown {
    return this.#attachment === null ? null : JSON.parse(this.#attachment);
  }

  /** Takes what is on its way to the other end: all of it, or only so many frames. */
  take(count = Number.POSITIVE_INFINITY): Frame[] {
    return this.wire.splice(0, count);
  }

  /** The wire is cut: of what is on its way, only this many bytes arrive. */
  cut(bytes: number): Frame[] {
    const arrived = within(this.wire, bytes);
    this.cutMs = kernel.nowMs + kernel.skewMs;
    this.wire = [];
    return arrived;
  }
}
