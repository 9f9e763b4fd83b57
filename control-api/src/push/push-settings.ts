import * as z from "zod/mini";
import { QuietHours } from "./quiet-hours.ts";

/** What a person chose for one browser's notifications. Which types of events it gets is stored beside it, as for every subscription. */
export const PushSettings = z.object({
  /** The browser, as the list of signed-in browsers calls it. */
  browser: z.string(),
  /** Identities of the computers that it hears nothing of. One that is added later is heard of, whatever its name. */
  muted: z.array(z.string()),
  /** Names of machines that are muted as well, whose computers are not known yet (http/shown-machine.ts, `whyUnknown`). */
  mutedNames: z.array(z.string()),
  quiet: z.nullable(QuietHours),
  /** The browser's time zone, which quiet hours are in. */
  zone: z.string(),
  /** Whether notifications show what is asked. Otherwise they name machine, project and session only. */
  showsContent: z.boolean(),
});
export type PushSettings = z.infer<typeof PushSettings>;

/**
 * What a person chooses on the page. `muted` and `heard`: the computers that it offered, by their identities. Others stay as they were.
 * `mutedNames`: machines whose computers are not known.
 */
export type PushChoice = Pick<PushSettings, "quiet" | "showsContent" | "mutedNames"> & {
  readonly muted: readonly string[];
  readonly heard: readonly string[];
};

/** What a person can be told of, each a tick on the page. `types` are names of event types. */
export const PUSH_TOPICS = [
  {
    name: "asked",
    title: "A session needs me",
    types: ["permission.requested", "question.asked", "plan.proposed"],
    isDefault: true,
  },
  { name: "finished", title: "A session has finished its turn", types: ["turn.completed"], isDefault: true },
  { name: "failed", title: "A session failed", types: ["session.failed"], isDefault: true },
  {
    name: "presence",
    title: "A machine goes offline or comes back",
    types: ["machine.offline", "machine.online"],
    isDefault: false,
  },
] as const;

/** What a browser gets that has just turned notifications on. */
export const DEFAULT_TYPES: readonly string[] = PUSH_TOPICS.flatMap(({ types, isDefault }) => (isDefault ? types : []));

/** Which events wait for a person, and stop mattering once somebody has decided. */
export const ASKED_TYPES: ReadonlySet<string> = new Set(PUSH_TOPICS[0].types);
