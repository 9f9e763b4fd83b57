import * as z from "zod";
import { ServeFailure } from "./error.ts";
import { readJson, writeJson } from "../system/json-file.ts";

/** Enough for clients' markers and settings. This is not a place for files. */
const MAX_STATE_BYTES = 1024 * 1024;

const State = z.record(z.string(), z.unknown());
export type State = z.infer<typeof State>;

/** A JSON object that clients store on this machine, changed by merge patches (RFC 7396). */
export class StateFile {
  readonly #path: string;
  #changing: Promise<unknown> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  async read(): Promise<State> {
    return State.parse((await readJson(this.#path)) ?? {});
  }

  /**
   * Applies a patch and returns the new state, which is then on disk. Patches are applied one after the other. Throws
   * ServeFailure `state_too_large`.
   */
  update(patch: State): Promise<State> {
    const change = this.#changing.then(async () => {
      const state = merge(await this.read(), patch);
      if (Buffer.byteLength(JSON.stringify(state)) > MAX_STATE_BYTES) {
        throw new ServeFailure({ code: "state_too_large", limitBytes: MAX_STATE_BYTES });
      }
      await writeJson(this.#path, state);
      return state;
    });
    // The caller of a failed patch was told. The next patch starts from the state on disk.
    this.#changing = change.catch(() => undefined);
    return change;
  }
}

/** RFC 7396: objects are merged, `null` removes a key, and everything else replaces it. */
function merge(target: State, patch: State): State {
  const result = new Map(Object.entries(target));
  for (const [key, value] of Object.entries(patch)) {
    const child = State.safeParse(value);
    if (value === null) result.delete(key);
    else if (!child.success || Array.isArray(value)) result.set(key, value);
    else {
      const before = State.safeParse(result.get(key));
      result.set(key, merge(before.success && !Array.isArray(result.get(key)) ? before.data : {}, child.data));
    }
  }
  return Object.fromEntries(result);
}
