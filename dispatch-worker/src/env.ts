/** The dispatch Worker's bindings. */
export type Env = {
  /** The namespace with one script per machine. */
  readonly DISPATCH: DispatchNamespace;
  /** What a gate must show to be let in. */
  readonly DISPATCH_SECRET: string;
  /** The secret before this one, while gates still use it. */
  readonly DISPATCH_SECRET_PREVIOUS?: string;
  /** The apex under which every machine has a host of its own. */
  readonly DOMAIN: string;
};
