/** What the simulator uses of Node's API, which the Workers runtime offers with `nodejs_compat`. */
declare module "node:async_hooks" {
  export class AsyncLocalStorage<Store> {
    run<Value>(store: Store, use: () => Value): Value;
    getStore(): Store | undefined;
  }
}
