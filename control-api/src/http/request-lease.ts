/** What the handler of a request may do with the lease on its caller's authorisation (sign-in/lease.ts). */
export type RequestLease = {
  /** Aborted when the caller has lost access. */
  readonly signal: AbortSignal;

  /**
   * The answer says itself why it ends: when the signal is aborted, its stream may write one more message and must close then. Without this
   * it is cut off at once, which is right for what a machine writes.
   */
  expectLastMessage(): void;

  /**
   * The request is about this machine alone, so that it does not matter if the caller's other machines are renamed, removed or taken over. Without
   * this the request ends when the names of any of them change.
   */
  concerns(machine: string): void;

  /**
   * Ends the request also when this is not so any more. It is asked whenever the caller's authorisation is checked: after each revocation,
   * after a machine was removed or renamed, and every minute. Must not reject.
   */
  require(isSo: () => Promise<boolean>): void;

  /**
   * Whether the caller is still let in as before, now that the body is there of which the first byte was awaited at `beganMs`. A sender who takes
   * their time may have lost access meanwhile, or the machine's name may have passed to a computer that they must not reach.
   */
  holdsAfterBody(beganMs: number): Promise<boolean>;
};
