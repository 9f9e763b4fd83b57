/** Why someone was not let in. Crosses RPC, where an error's class is lost. */
export type Denied = {
  denied: "wrong" | "slow_down" | "code_wrong" | "name_taken" | "name_invalid" | "password_weak";
  afterMs?: number;
};
