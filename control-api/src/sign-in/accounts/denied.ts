/**
 * Why a person could not sign in or open an account. A value and not an exception, because it crosses RPC, where the class
 * of an error is lost. (Why an API caller's token is not accepted is `Refusal` in `http/refusal.ts`.)
 */
export type Denied = {
  denied: "wrong" | "slow_down" | "code_wrong" | "name_taken" | "name_invalid" | "password_weak";
  afterMs?: number;
};
