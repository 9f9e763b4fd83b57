import { PASSWORD_MIN } from "./accounts/password.ts";
import type { Denied } from "./accounts/denied.ts";

/**
 * The text and HTTP status for a failed sign-in or sign-up. A failed sign-in reads the same whether the name is unknown or the
 * password is wrong, so names cannot be found out there. `name_taken` is only reached with a valid code.
 */
export function deniedMessageOf({ denied, afterMs = 0 }: Denied): { text: string; status: 400 | 401 | 409 | 429 } {
  switch (denied) {
    case "wrong":
      return { text: "The name or the password is wrong.", status: 401 };
    case "slow_down":
      return { text: `Too many attempts. Wait ${Math.ceil(afterMs / 60_000)} min and try again.`, status: 429 };
    case "code_wrong":
      return { text: "This code is unknown, already used or expired.", status: 401 };
    case "name_taken":
      return { text: "This name is taken. Choose another.", status: 409 };
    case "name_invalid":
      return { text: "A name needs 1 to 64 visible characters.", status: 400 };
    case "password_weak":
      return { text: `A password needs at least ${PASSWORD_MIN} characters.`, status: 400 };
  }
}
