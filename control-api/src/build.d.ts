/** Bundles that `npm run build` makes of the other runtimes. They are imported as text modules (wrangler.jsonc, `rules`). */
declare module "*.txt" {
  const text: string;
  export default text;
}
declare module "*.png" {
  const bytes: ArrayBuffer;
  export default bytes;
}
declare module "*.tgz" {
  const bytes: ArrayBuffer;
  export default bytes;
}
