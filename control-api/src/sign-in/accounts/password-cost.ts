/**
 * scrypt with N = 2^15, r = 8, p = 3, one of the settings that OWASP's Password Storage Cheat Sheet recommends. A guess costs
 * 32 MiB and about 0.2 s of a server's core. WebCrypto's PBKDF2 is too weak here: Workers cap it at 100,000 iterations.
 */
export const COST = { log2N: 15, r: 8, p: 3 };

/** Pause after a check, for everything else that the thread does: as long as a check takes on a small server. Milliseconds. */
export const PAUSE_MS = 300;
