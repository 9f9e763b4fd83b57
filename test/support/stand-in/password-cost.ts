/**
 * What a password's hash costs in the control API's tests, in place of control-api/src/sign-in/accounts/password-cost.ts. Hundreds of
 * people sign up in them, and their hashes were a quarter of the time that the tests took. End-to-end tests have the real cost.
 */
export const COST = { log2N: 4, r: 8, p: 1 };

export const PAUSE_MS = 0;
