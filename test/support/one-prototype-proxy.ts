/**
 * pool-workers has a class of its own around each entrypoint and Durable Object, and wraps that class's prototype in a Proxy: not once, but for
 * each instance (https://github.com/cloudflare/workers-sdk/issues/15092). So after some thousand requests each access to an instance went
 * through some thousand proxies, which was a third of the tests' time. Its successor, @cloudflare/vitest-plugin, has the fix from version
 * 1.1.3 on; with that this file goes.
 */
const IS_INSTALLED = Symbol.for("operator.one-prototype-proxy");

// Each test file runs this again, in the same isolate.
if (!(IS_INSTALLED in globalThis)) {
  const wrapped = new WeakSet<object>();
  const one = new Proxy(Proxy, {
    construct(Native, [target, handler]: [object, ProxyHandler<object>]) {
      if (wrapped.has(target)) return target;
      const proxy = new Native(target, handler);
      if (isPrototype(target)) wrapped.add(proxy);
      return proxy;
    },
  });
  Object.assign(globalThis, { Proxy: one, [IS_INSTALLED]: true });
}

function isPrototype(target: object): boolean {
  return Object.hasOwn(target, "constructor") && (target.constructor as { prototype?: unknown }).prototype === target;
}
