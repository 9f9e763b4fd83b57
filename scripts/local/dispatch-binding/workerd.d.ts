/** The internal module behind `cloudflare:workers`. The module of a wrapped binding can import only this name. */
declare module "cloudflare-internal:workers" {
  const entrypoints: { waitUntil(promise: Promise<unknown>): void };
  export default entrypoints;
}

/** workerd's pass-through stream. It forwards chunks in native code, without running JavaScript for each. */
declare class IdentityTransformStream extends TransformStream<Uint8Array, Uint8Array> {}

/** The same for so many bytes, which a response then announces as its length. */
declare class FixedLengthStream extends IdentityTransformStream {
  constructor(length: number);
}
