import type { Duplex } from "node:stream";
import { clientKeyOf } from "#protocol/client-key.ts";
import { AddressRates } from "./address-rates.ts";
import { plainAddress, TrustedProxies } from "./client-address.ts";
import { MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS } from "./limits.ts";
import type { RefusalLog } from "./refusal-log.ts";
import { Tally } from "./tally.ts";

/** The open connections of one public port. It counts them, of each address and of all, and closes those that are too many. */
export class Connections {
  readonly #rates: AddressRates;
  readonly #trusted: TrustedProxies;
  readonly #refusals: RefusalLog;
  readonly #open = new Set<Duplex>();
  readonly #ofAddress = new Tally<string>();

  /** @param trusted proxies, whose connections are those of many clients and have no limit of their own */
  constructor(rates: AddressRates, trusted: TrustedProxies, refusals: RefusalLog) {
    this.#rates = rates;
    this.#trusted = trusted;
    this.#refusals = refusals;
  }

  /** Counts a new connection until it closes, or closes it at once. */
  admit(socket: Duplex & { remoteAddress?: string | undefined }): void {
    const address = plainAddress(socket.remoteAddress ?? "");
    const key = clientKeyOf(address);
    const count = this.#ofAddress.of(key);
    const isProxy = this.#trusted.includes(address);
    const isCrowded = !isProxy && (count >= MAX_CONNECTIONS_PER_ADDRESS || this.#rates.connect(address) > 0);
    if (this.#open.size >= MAX_CONNECTIONS || isCrowded) {
      this.#refusals.tell(
        `refused a connection from ${address}: ${this.#open.size} are open, ${count} of them its own, or it opens too many one after the other`,
      );
      return void socket.destroy();
    }
    this.#open.add(socket);
    this.#ofAddress.add(key);
    socket.on("close", () => {
      this.#open.delete(socket);
      this.#ofAddress.remove(key);
    });
  }

  destroyAll(): void {
    for (const socket of this.#open) socket.destroy();
  }
}
