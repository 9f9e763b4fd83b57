/** Exit codes after a signal, by shell convention: 128 plus the signal's number. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** Ends this process properly when a signal asks it to end, so that what is removed at its "exit" is removed. */
export function exitOnSignal(): void {
  for (const [signal, code] of Object.entries(EXIT_CODES)) process.on(signal, () => process.exit(code));
}
