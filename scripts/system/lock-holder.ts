import * as z from "zod";

/** What a running connector writes beside its profile, for a second connector and for `codez status`. */
export const Holder = z.object({
  pid: z.int().positive(),
  /** The process's start time according to the system. The process id alone may belong to another program by now. */
  started: z.string().nullable(),
  sinceMs: z.int(),
  state: z.enum(["connecting", "online", "offline"]),
  detail: z.string(),
});
export type Holder = z.infer<typeof Holder>;
