/** The one thing taken from Node's library, as Workers have it (`nodejs_compat`). */
declare module "node:crypto" {
  export function scrypt(
    password: string,
    salt: Uint8Array,
    keyBytes: number,
    options: { N: number; r: number; p: number; maxmem: number },
    done: (error: Error | null, key: Uint8Array) => void,
  ): void;
  /** Hashes at once, without a promise. */
  export function createHash(algorithm: "sha256"): {
    update(data: string | Uint8Array): { digest(encoding: "hex"): string; digest(): Uint8Array };
  };
}
