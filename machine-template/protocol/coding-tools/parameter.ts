import * as z from "zod/mini";

/**
 * Parameters that several coding tools share. Models read the descriptions, so each says where the value comes from or gives
 * an example.
 */

/** Claude Code's session ids are UUIDs. The id becomes part of a file's path, so anything else (`../`) is refused. */
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export const SessionId = z.string().check(
  z.refine((text) => UUID.test(text), "not a session id; get one from create_session or list_sessions"),
  z.describe("Session id from create_session, list_sessions or search_sessions."),
);

const SLUG = "Project slug from list_projects.";
const SPARE = "For CodeZ.";

export const Slug = z.string().check(z.minLength(1), z.describe(SLUG));

/** Parameters that the original CodeZ requires. `codez serve` accepts and ignores them, because the session's id is enough. */
export const SpareSlug = z.optional(z.string().check(z.describe(SPARE)));
export const SpareFolder = z.optional(z.string().check(z.describe(SPARE)));

export const Prompt = z.string().check(z.minLength(1), z.describe("Instructions for the agent."));

const MAX_KEY_CHARACTERS = 200;

export const Key = z.optional(
  z
    .string()
    .check(
      z.minLength(1),
      z.maxLength(MAX_KEY_CHARACTERS),
      z.describe("Idempotency key: any new string. A retry with it within a day runs once."),
    ),
);

/** The media types that the Messages API accepts: images, PDFs and text. */
const MEDIA_TYPE = /^(image\/(png|jpeg|gif|webp)|application\/pdf|text\/[\w.+-]+)$/;

/**
 * Standard Base64 (RFC 4648 section 4) with padding. The pattern has no groups, because those overflow the stack on a large
 * file.
 */
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

const MAX_ATTACHMENTS = 20;
const MAX_NAME_CHARACTERS = 200;

export const Attachments = z.optional(
  z
    .array(
      z.object({
        media_type: z.string().check(z.refine((type) => MEDIA_TYPE.test(type), "use an image, PDF or text media type")),
        data: z.string().check(z.refine((data) => data.length % 4 === 0 && BASE64.test(data), "not Base64")),
        name: z.optional(z.string().check(z.maxLength(MAX_NAME_CHARACTERS))),
      }),
    )
    .check(
      z.maxLength(MAX_ATTACHMENTS),
      z.describe('Images, PDFs or text; media_type e.g. "image/png", data in Base64.'),
    ),
);
export type Attachment = NonNullable<z.infer<typeof Attachments>>[number];

export const Model = z.optional(
  z.string().check(
    // The name becomes an argument of `claude`, so it must not begin with `-`.
    z.refine((name) => /^[a-zA-Z0-9][\w.:/@[\]-]{0,127}$/.test(name), "not a model name"),
    z.describe('Alias or full name, e.g. "opus". Default: the machine\'s setting.'),
  ),
);

export const PermissionMode = z.optional(
  z
    .string()
    .check(
      z.describe(
        "`plan`: only reads and plans. `dontAsk`: denies what needs approval. `default`: asks before edits and commands. " +
          "`acceptEdits`: edits without asking. `auto`: a classifier decides. `bypassPermissions`: never asks. The owner " +
          "sets the default and the maximum.",
      ),
    ),
);
