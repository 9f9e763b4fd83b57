import { mkdir } from "node:fs/promises";
import { join } from "node:path";

/** Where a local Operator keeps everything. */
export interface State {
  readonly folder: string;
  readonly lock: string;
  readonly log: string;
  readonly secrets: string;
  /** Dispatch namespaces, machine scripts and their storage. */
  readonly platform: string;
  /** The control API's Durable Objects. */
  readonly control: string;
  /**
   * Bundles of the two Workers, kept while their sources are the same. Elsewhere (OPERATOR_BUNDLES) when they were made ahead,
   * as in an image whose file system cannot be written.
   */
  readonly bundles: string;
}

/** Opens the state folder, which only its owner may look into. */
export async function openState(folder: string): Promise<State> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return {
    folder,
    lock: join(folder, "lock.json"),
    log: join(folder, "operator.log"),
    secrets: join(folder, "secrets.json"),
    platform: join(folder, "platform"),
    control: join(folder, "control"),
    bundles: process.env["OPERATOR_BUNDLES"] || join(folder, "bundles"),
  };
}
