import type { Binding, Extension, Service } from "../workerd/config.ts";
import { workerSource } from "./source.ts";

const MODULE = "operator-local:dispatch";
const PLATFORM = "operator-local:platform";
const NETWORK = "operator-local:network";

export interface DispatchOptions {
  /** `127.0.0.1:port` of the platform. */
  readonly platform: string;
  /** Bearer token for the platform's lookup, which answers with the scripts' keys. */
  readonly token: string;
  readonly namespace: string;
}

/** The parts of a workerd configuration that dispatch namespace bindings need. */
export interface DispatchParts {
  readonly bindings: readonly Binding[];
  readonly services: readonly Service[];
  readonly extensions: readonly Extension[];
}

/**
 * Configures dispatch namespace bindings, by binding name. All must belong to one platform: they share one connection to it.
 * @param pipes whether the binding pipes event streams, because the Worker that has it returns them as they are (binding.ts, `watched`)
 */
export function dispatchBindings(options: Readonly<Record<string, DispatchOptions>>, pipes: boolean): DispatchParts {
  const [first] = Object.values(options);
  if (first === undefined) return { bindings: [], services: [], extensions: [] };
  return {
    bindings: Object.entries(options).map(([name, { namespace, token }]) => ({
      name,
      wrapped: {
        moduleName: MODULE,
        innerBindings: [
          { name: "platform", service: { name: PLATFORM } },
          { name: "network", service: { name: NETWORK } },
          { name: "namespace", text: namespace },
          { name: "token", text: token },
          { name: "pipes", json: JSON.stringify(pipes) },
        ],
      },
    })),
    services: [
      { name: PLATFORM, external: { address: first.platform, http: {} } },
      // Loopback only: the binding connects to no other addresses.
      { name: NETWORK, network: { allow: ["local"] } },
    ],
    extensions: [{ modules: [{ name: MODULE, esModule: workerSource("binding.ts"), internal: true }] }],
  };
}
