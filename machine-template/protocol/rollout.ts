import * as z from "zod/mini";

/**
 * A rollout brings machines to this Operator's machine template: canaries first, then the others, each watched for a time.
 *
 *   GET  /api/rollout         -> { rollout: Rollout | null, mode: RolloutMode }
 *   POST /api/rollout         StartRollout -> Rollout
 *   POST /api/rollout/pause   -> Rollout; uploads under way are completed, and machines that are watched go on being watched
 *   POST /api/rollout/resume  -> Rollout
 *   POST /api/rollout/back    -> Rollout; every machine gets the template that it had
 *   PUT  /api/rollout/mode    { mode } -> { mode }
 */

/** Whether a machine with an older template gets the current one when it dials in, or only by a rollout. */
export const RolloutMode = z.enum(["automatic", "manual"]);
export type RolloutMode = z.infer<typeof RolloutMode>;

/** How long a machine is watched after its upload: enough for its link to return, and for a dozen calls. */
export const WATCH_MS = 60_000;

/** How long an upload waits for the calls in progress on a machine. An agent's turn may take minutes; a stream may be open for days. */
export const WAIT_MS = 10 * 60_000;

/** The share of machines that are canaries when nobody chooses them. At least one is. */
export const CANARY_SHARE = 0.05;

const DAY_MS = 24 * 60 * 60_000;

export const StartRollout = z.strictObject({
  canary: z.optional(
    z.strictObject({
      /** Machines by name. */
      names: z.optional(z.array(z.string()).check(z.minLength(1), z.maxLength(1_000))),
      /** Machines whose facts have this: their operating system, their architecture or one of their capabilities. */
      tag: z.optional(z.string().check(z.minLength(1), z.maxLength(128))),
      /** So many of the machines that are online, from 0 to 1. At least one. */
      share: z.optional(z.number().check(z.gt(0), z.lte(1))),
    }),
  ),
  watchMs: z.optional(z.int().check(z.gte(1_000), z.lte(DAY_MS))),
  waitMs: z.optional(z.int().check(z.gte(0), z.lte(DAY_MS))),
});
export type StartRollout = z.infer<typeof StartRollout>;

/**
 * What has happened to one machine.
 *
 *   waiting   its turn has not come, or it has calls in progress
 *   offline   gets the template when it dials in, once the rollout is done
 *   watched   has the new template
 *   healthy   came through the time of watching
 *   going_back, back   gets, or has, the template that it had; `reason` says why
 *   refused   the platform refused the upload; the machine has what it had
 */
export const RolloutStep = z.enum(["waiting", "offline", "watched", "healthy", "going_back", "back", "refused"]);
export type RolloutStep = z.infer<typeof RolloutStep>;

export const RolloutMachine = z.object({
  name: z.string(),
  isCanary: z.boolean(),
  step: RolloutStep,
  /** The template that it had before. */
  before: z.string(),
  /** When it came to this step. Milliseconds since 1970. */
  sinceMs: z.int(),
  reason: z.nullable(z.string()),
});
export type RolloutMachine = z.infer<typeof RolloutMachine>;

export const Rollout = z.object({
  state: z.enum(["canaries", "everyone", "done", "going_back", "back"]),
  isPaused: z.boolean(),
  /** The template that machines get. */
  template: z.string(),
  startedMs: z.int(),
  watchMs: z.int(),
  waitMs: z.int(),
  /** Why it went back. */
  reason: z.nullable(z.string()),
  machines: z.array(RolloutMachine),
});
export type Rollout = z.infer<typeof Rollout>;

export const RolloutAnswer = z.object({ rollout: z.nullable(Rollout), mode: RolloutMode });
export type RolloutAnswer = z.infer<typeof RolloutAnswer>;
