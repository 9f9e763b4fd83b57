/** The dispatch Worker's bindings. */
export type Env = {
  /** The namespace with one script per machine. */
  readonly DISPATCH: DispatchNamespace;
  /** The secret that a gate has to send. */
  readonly DISPATCH_SECRET: string;
  /** The previous secret, accepted during a rotation for as long as gates still send it. */
  readonly DISPATCH_SECRET_PREVIOUS?: string;
  /** The domain under which every machine has its own host. */
  readonly DOMAIN: string;
};
