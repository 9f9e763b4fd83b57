import { fileURLToPath } from "node:url";
import type { Plugin } from "miniflare";
import { workerSource } from "./source.ts";

const NAME = "operator-dispatch";
const MODULE = "operator-local:dispatch";

export interface DispatchOptions {
  /** `127.0.0.1:port` of the platform. */
  readonly platform: string;
  /** What the platform's lookup wants to see, so that nobody else learns the scripts' keys. */
  readonly token: string;
  readonly namespace: string;
}

/** The `env` entry that makes a Miniflare Worker's binding a dispatch namespace of the local platform. */
export function dispatchBinding(options: DispatchOptions) {
  return {
    type: `unsafe:${NAME}` as const,
    dev: { plugin: { package: fileURLToPath(import.meta.url), name: NAME }, options: { ...options } },
  };
}

const service = (binding: string, kind: "platform" | "network") => `${NAME}:${binding}:${kind}`;

function bindingsOf(env: object | undefined): [string, DispatchOptions][] {
  return Object.entries(env ?? {})
    .filter(([, binding]) => binding.type === `unsafe:${NAME}`)
    .map(([name, binding]) => [name, binding.dev.options as DispatchOptions]); // put there by dispatchBinding()
}

const plugin: Plugin = {
  getBindings({ config }) {
    return bindingsOf(config.env).map(([name, options]) => ({
      name,
      wrapped: {
        moduleName: MODULE,
        innerBindings: [
          { name: "platform", service: { name: service(name, "platform") } },
          { name: "network", service: { name: service(name, "network") } },
          { name: "namespace", text: options.namespace },
          { name: "token", text: options.token },
        ],
      },
    }));
  },
  getNodeBindings: () => ({}),
  getServices({ options: { config } }) {
    return bindingsOf(config.env).flatMap(([name, options]) => [
      { name: service(name, "platform"), external: { address: options.platform, http: {} } },
      // Loopback and nothing else: the only addresses that the binding ever dials.
      { name: service(name, "network"), network: { allow: ["local"] } },
    ]);
  },
  getExtensions({ options }) {
    if (!options.some(({ config }) => bindingsOf(config.env).length > 0)) return [];
    return [{ modules: [{ name: MODULE, esModule: workerSource("binding.ts"), internal: true }] }];
  },
};

/** What Miniflare looks for in an external plugin's package. */
export const plugins = { [NAME]: plugin };
