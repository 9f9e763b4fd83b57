import type { ReporterBindings } from "./reporter.ts";

/** A machine script's bindings, given at upload. */
export type Env = ReporterBindings & {
  /** The one object, asked by `fetch` alone. */
  readonly MACHINE: DurableObjectNamespace;
  /** What the owner calls the machine. */
  readonly NAME: string;
  /** SHA-256 of the link token, hex. */
  readonly LINK_TOKEN_HASH: string;
  /** Version of the template this script was made from. */
  readonly TEMPLATE: string;
};
