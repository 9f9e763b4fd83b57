import type { Binding, Extension, Service } from "../workerd/config.ts";
import { workerSource } from "./source.ts";

const MODULE = "operator-local:dispatch";
const PLATFORM = "operator-local:platform";
const NETWORK = "operator-local:network";

export interface DispatchOptions {
  /** `127.0.0.1:port` of the platform. */
  readonly platform: string;
  /** What the platform's lookup wants to see, so that nobody else learns the scripts' keys. */
  readonly token: string;
  readonly namespace: string;
}

/** What a configuration needs for one or several dispatch namespaces of the local platform. */
export interface DispatchParts {
  readonly bindings: readonly Binding[];
  readonly services: readonly Service[];
  readonly extensions: readonly Extension[];
}

/** Bindings, by name, that are dispatch namespaces. All of one platform: they share how it is reached. */
export function dispatchBindings(options: Readonly<Record<string, DispatchOptions>>): DispatchParts {
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
        ],
      },
    })),
    services: [
      { name: PLATFORM, external: { address: first.platform, http: {} } },
      // Loopback and nothing else: the only addresses that the binding ever dials.
      { name: NETWORK, network: { allow: ["local"] } },
    ],
    extensions: [{ modules: [{ name: MODULE, esModule: workerSource("binding.ts"), internal: true }] }],
  };
}
