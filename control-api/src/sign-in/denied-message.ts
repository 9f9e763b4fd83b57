import { PASSWORD_MIN } from "./accounts/password.ts";
import type { Denied } from "./accounts/denied.ts";

/** The text and HTTP status for a failed sign-in or sign-up. It never tells whether an account of that name exists. */
export function deniedMessageOf({ denied, afterMs = 0 }: Denied): { text: string; status: 400 | 401 | 409 | 429 } {
  switch (denied) {
    case "wrong":
      return { text: "That did not match. Check the name and the password.", status: 401 };
    case "slow_down":
      return { text: `Too many tries. Wait ${Math.ceil(afterMs / 60_000)} min and try again.`, status: 429 };
    case "code_wrong":
      return { text: "That code is unknown, used up or too old.", status: 401 };
    case "name_taken":
      return { text: "Somebody else has this name. Choose another.", status: 409 };
    case "name_invalid":
      return { text: "A name has 1 to 64 visible characters.", status: 400 };
    case "password_weak":
      return { text: `A password has at least ${PASSWORD_MIN} characters.`, status: 400 };
  }
}
