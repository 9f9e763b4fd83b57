import type { CredentialBindings } from "./link/credentials.ts";
import type { ReporterBindings } from "./reporter.ts";

/** A machine script's bindings, which the upload sets. */
export type Env = ReporterBindings &
  CredentialBindings & {
    /** The script's only Durable Object, called through `fetch` only. */
    readonly MACHINE: DurableObjectNamespace;
    /** What the owner calls the machine. */
    readonly NAME: string;
    /** Version of the template that this script was made from. */
    readonly TEMPLATE: string;
  };
