import * as z from "zod";

/** What a running connector says of itself beside its profile, for a second one and for `codez status`. */
export const Holder = z.object({
  pid: z.int().positive(),
  /** The process's own start as the system tells it: a process id alone may be another program's by now. */
  started: z.string().nullable(),
  sinceMs: z.int(),
  state: z.enum(["connecting", "online", "offline"]),
  detail: z.string(),
});
export type Holder = z.infer<typeof Holder>;
