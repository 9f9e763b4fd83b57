/** How Vitest's module runner asks its main process where a module is. It exports no type for this. */
interface Transport {
  resolveId(id: string, importer?: string): Promise<object | null>;
}

const ASKS_ONCE = Symbol.for("operator.resolved-once");

/**
 * pool-workers imports the Worker's main module for each request, call and alarm of an entrypoint or Durable Object, and Vitest's main process
 * is asked each time where that module is. This was a fifth of the processor time of the control API's tests. A module that was found stays
 * where it is while the tests run, so each isolate asks once.
 */
function askOnce(transport: Transport): void {
  const ask = transport.resolveId.bind(transport);
  const found = new Map<string, object>();
  transport.resolveId = async (id, importer) => {
    const known = importer === undefined ? found.get(id) : undefined;
    if (known !== undefined) return known;
    const resolved = await ask(id, importer);
    if (resolved !== null && importer === undefined) found.set(id, resolved);
    return resolved;
  };
}

// Each test file runs this again, in the same isolate.
if (!(ASKS_ONCE in globalThis)) {
  const { __vitest_mocker__: mocker } = globalThis as unknown as {
    readonly __vitest_mocker__: {
      readonly moduleRunner: { readonly vitestOptions: { readonly transport: Transport } };
    };
  };
  askOnce(mocker.moduleRunner.vitestOptions.transport);
  Object.assign(globalThis, { [ASKS_ONCE]: true });
}
