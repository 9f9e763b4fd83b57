/** Exit codes of `codez serve` and `codez permissions`. They add to those of `codez` itself and use other numbers. */
export const ServeExitCode = {
  /** `codez serve` is not running. */
  NOT_RUNNING: 16,
  /** Another serve runs with the same home folder. */
  ALREADY_RUNNING: 17,
  /** Another program has the port. */
  PORT_TAKEN: 18,
  /** The permission request was settled before, is unknown, or its id is ambiguous. */
  NOT_ANSWERED: 19,
  /** `serve.json` is invalid. The same number that `codez` uses for all of its files. */
  CONFIG_INVALID: 13,
} as const;
