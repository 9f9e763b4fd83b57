/** What `codez serve` and `codez permissions` end with, beside the numbers of `codez` itself and never one of them. */
export const ServeExitCode = {
  /** Nothing runs that could be asked. */
  NOT_RUNNING: 16,
  /** Another serve has this home. */
  ALREADY_RUNNING: 17,
  /** Another program has the port. */
  PORT_TAKEN: 18,
  /** The request was settled before, is not known, or fits several. */
  NOT_ANSWERED: 19,
  /** `serve.json` is not what it should be. The number that `codez` has for all its files. */
  CONFIG_INVALID: 13,
} as const;
