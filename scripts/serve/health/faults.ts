/** Number of faults that are kept for get_health_details. */
const MAX_FAULTS = 50;

/** Recent faults that no caller was told about. */
export class Faults {
  readonly #faults: { at_ms: number; message: string }[] = [];

  add(error: Error): void {
    this.#faults.push({ at_ms: Date.now(), message: error.message });
    if (this.#faults.length > MAX_FAULTS) this.#faults.shift();
  }

  get recent(): readonly { at_ms: number; message: string }[] {
    return this.#faults;
  }
}
