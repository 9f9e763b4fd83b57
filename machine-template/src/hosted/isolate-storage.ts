import type { KeyValues } from "../mcp-client.ts";

/** A store in the isolate's memory. Values are copied, as a Durable Object's storage does, so that no request shares an object. */
export function isolateStorage(): KeyValues {
  const values = new Map<string, unknown>();
  return {
    get: (key) => structuredClone(values.get(key)),
    put: (key, value) => void values.set(key, structuredClone(value)),
    delete: (key) => values.delete(key),
  };
}
