import type { Machine } from "./machine.ts";

/** A machine script's bindings, given at upload. */
export type Env = {
  readonly MACHINE: DurableObjectNamespace<Machine>;
  /** User id of the machine's owner. */
  readonly OWNER: string;
  /** What the owner calls the machine. */
  readonly NAME: string;
  /** This script's own name in the dispatch namespace. */
  readonly SLUG: string;
  /** SHA-256 of the link token, hex. */
  readonly LINK_TOKEN_HASH: string;
  /** Shows the control API that a report comes from this script. */
  readonly REPORT_KEY: string;
  /** Version of the template this script was made from. */
  readonly TEMPLATE: string;
  /** The control API's `Reports` entrypoint. */
  readonly CONTROL: Fetcher;
};
