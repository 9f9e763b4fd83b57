import type { Bundle } from "./bundle.ts";
import type { Binding, ExtensionModule } from "./workerd/config.ts";

/** What a binding needs that calls a Worker within the caller's isolate. */
export interface InnerWorker {
  readonly binding: Binding;
  readonly modules: readonly ExtensionModule[];
}

/**
 * A service binding to a Worker without state, as a wrapped binding: the Worker's `fetch` is called like a function, in the isolate of
 * the Worker that has the binding. workerd makes a context and copies headers and body for every call from one Worker to another,
 * which Operator's machine calls need not pay twice on one computer.
 *
 * The Worker is the same bundle with the same bindings. It gets no `ctx`, and its globals are those of its caller. So it must not have
 * Durable Objects, entrypoints with names, or modules beside its main one.
 *
 * @param bindings the Worker's own
 */
export function innerWorker(name: string, service: string, bundle: Bundle, bindings: readonly Binding[]): InnerWorker {
  const [main, ...others] = bundle.modules;
  if (main === undefined || !("esModule" in main) || others.length > 0)
    throw new Error(`${service} has more than one module, so it cannot run in the isolate of its caller`);
  const code = `operator-local:code-of-${service}`;
  const moduleName = `operator-local:${service}`;
  return {
    binding: { name, wrapped: { moduleName, innerBindings: bindings } },
    modules: [
      { name: code, esModule: main.esModule, internal: true },
      { name: moduleName, esModule: fetcher(code), internal: true },
    ],
  };
}

/** The module of the binding: an object with the `fetch` of a service binding. */
function fetcher(code: string): string {
  return `import worker from "${code}";
export default (env) => ({
  fetch: async (input, init) => worker.fetch(input instanceof Request && init === undefined ? input : new Request(input, init), env),
});
`;
}
