import { InboundBody } from "#protocol/body.ts";
import { detailsOf, statusOf } from "#protocol/error.ts";
import { encodeFrame, FrameKind, type Frame } from "#protocol/frame.ts";
import { ScriptPath } from "#protocol/script-api.ts";
import { LinkAnswer } from "./link-answer.ts";
import { answerJson, type Target } from "./target.ts";

/**
 * What the link reaches: the machine's MCP server, and the program that takes people's decisions (`ScriptPath.DECIDE`), if there is
 * one. The connector, and not the caller, decides what that is.
 */
export type Reachable = { readonly target: Target; readonly decisions: Target | null };

function targetAt(path: string, { target, decisions }: Reachable): Target | null {
  if (path === ScriptPath.MCP) return target;
  return path === ScriptPath.DECIDE ? decisions : null;
}

type Opening = Extract<Frame, { kind: typeof FrameKind.REQUEST }>;
type Later = Exclude<Frame, { kind: typeof FrameKind.REQUEST | typeof FrameKind.RESPONSE }>;

/** One request from the link to the target, and its answer back. */
export class Exchange {
  readonly #answer: LinkAnswer;
  readonly #inbound: InboundBody | null;

  constructor(opening: Opening, reachable: Reachable, send: (frame: Uint8Array) => void, done: () => void) {
    const { exchange, head, body, end } = opening;
    this.#answer = new LinkAnswer(exchange, send, () => {
      // A server may answer before it has the whole request, whose rest is not passed on any more. Its connection would stay open for ever.
      this.#inbound?.fail(new Error("it was answered before its end"));
      done();
    });
    this.#inbound = end ? null : inboundOf(exchange, body, send);
    const cut = head.path.indexOf("?");
    const path = cut === -1 ? head.path : head.path.slice(0, cut);
    const target = targetAt(path, reachable);
    if (target === null) {
      const error = { code: "not_found", reason: "A machine answers at /mcp only." } as const;
      answerJson(this.#answer, statusOf(error), { error: detailsOf(error) });
      return;
    }
    const request = {
      method: head.method,
      query: cut === -1 ? "" : head.path.slice(cut),
      headers: head.headers,
      body: this.#inbound?.stream ?? body,
    };
    target.serve(request, this.#answer);
  }

  /** Handles a frame of this exchange. Returns `false` when it violates the protocol. */
  receive(frame: Later): boolean {
    switch (frame.kind) {
      case FrameKind.BODY:
        if (this.#inbound === null || !this.#inbound.push(frame.body)) return false;
        if (frame.end) this.#inbound.end();
        return true;
      case FrameKind.WINDOW:
        return this.#answer.grant(frame.credit);
      case FrameKind.CANCEL:
        this.cancel(frame.reason);
        return true;
    }
  }

  /** Tells the target that nobody waits for the answer any more. */
  cancel(reason: string): void {
    this.#inbound?.fail(new Error(reason));
    this.#answer.cancel(reason);
  }
}

function inboundOf(exchange: number, first: Uint8Array, send: (frame: Uint8Array) => void): InboundBody {
  const inbound = new InboundBody(
    (credit) => send(encodeFrame({ kind: FrameKind.WINDOW, exchange, credit })),
    () => undefined, // the target stops reading but still answers, which HTTP allows
  );
  inbound.push(first);
  return inbound;
}
