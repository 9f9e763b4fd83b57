import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TrustedProxies } from "../../../../scripts/front/client-address.ts";
import { Front, type FrontOptions } from "../../../../scripts/front/front.ts";

/** A gate of the test's own, with real fronts before it. They and the gate end together. */
export class BehindFront implements AsyncDisposable {
  readonly #gate: Server;
  readonly #folder = mkdtempSync(join(tmpdir(), "operator-front-"));
  readonly #fronts: Front[] = [];

  static async start(gate: Server): Promise<BehindFront> {
    const behind = new BehindFront(gate);
    gate.listen(behind.#socketPath);
    await once(gate, "listening");
    return behind;
  }

  private constructor(gate: Server) {
    this.#gate = gate;
  }

  get #socketPath(): string {
    return join(this.#folder, "gate.sock");
  }

  /** A front that speaks plain HTTP, unless `changes` gives it a certificate. */
  async front(changes: Partial<FrontOptions> = {}): Promise<Front> {
    const front = await Front.start({
      host: "127.0.0.1",
      port: 0,
      upstream: { socketPath: this.#socketPath },
      certificate: null,
      trusted: new TrustedProxies([]),
      log: () => undefined,
      ...changes,
    });
    this.#fronts.push(front);
    return front;
  }

  /** A front whose gate does not run. */
  frontAlone(): Promise<Front> {
    return this.front({ upstream: { socketPath: join(this.#folder, "none") } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#fronts.map((front) => front[Symbol.asyncDispose]()));
    this.#gate.closeAllConnections();
    this.#gate.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
