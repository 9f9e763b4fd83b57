/** What `cloudflare:workers` is made of, under the name by which a wrapped binding's module gets it. */
declare module "cloudflare-internal:workers" {
  const entrypoints: { waitUntil(promise: Promise<unknown>): void };
  export default entrypoints;
}

/** workerd's own stream without a transformation, which costs a chunk no JavaScript. */
declare class IdentityTransformStream extends TransformStream<Uint8Array, Uint8Array> {}
