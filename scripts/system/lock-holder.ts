import * as z from "zod";

/** Process ids are signed 32-bit numbers on every system; 0 and below name groups of processes. */
export const MAX_PID = 2 ** 31 - 1;

/** What a running connector writes beside its profile, for a second connector and for `codez status`. */
export const Holder = z.object({
  pid: z.int().positive().max(MAX_PID),
  /** The process's start time according to the system. The process id alone may belong to another program by now. */
  started: z.string().nullable(),
  sinceMs: z.int(),
  state: z.enum(["connecting", "online", "offline"]),
  detail: z.string(),
});
export type Holder = z.infer<typeof Holder>;
