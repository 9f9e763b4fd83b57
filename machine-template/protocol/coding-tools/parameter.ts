import * as z from "zod/mini";

/** Parameters that several coding tools share. Their descriptions are read by models, so each has an example. */

/** Claude Code's session ids are UUIDs. One that is not could name a file elsewhere, so a machine refuses it. */
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export const SessionId = z.string().check(
  z.refine((text) => UUID.test(text), "not a session id; take it from create_session or list_sessions"),
  z.describe("Session id from create_session, list_sessions or search_sessions."),
);

const SLUG = 'Project slug from list_projects, e.g. "-home-ann-src-api".';
const SPARE = "For the original CodeZ only.";

export const Slug = z.string().check(z.minLength(1), z.describe(SLUG));

/** Parameters that the original CodeZ asks for, and that `codez serve` accepts and ignores: the session's id says it all. */
export const SpareSlug = z.optional(z.string().check(z.describe(SPARE)));
export const SpareFolder = z.optional(z.string().check(z.describe(SPARE)));

export const Prompt = z
  .string()
  .check(z.minLength(1), z.describe('What the agent is told, e.g. "Fix the failing tests".'));

const MAX_KEY_CHARACTERS = 200;

export const Key = z.optional(
  z
    .string()
    .check(
      z.minLength(1),
      z.maxLength(MAX_KEY_CHARACTERS),
      z.describe("Any new id. A call repeated with its key within a day is not carried out twice."),
    ),
);

/** What the Messages API takes: images, PDFs and text. */
const MEDIA_TYPE = /^(image\/(png|jpeg|gif|webp)|application\/pdf|text\/[\w.+-]+)$/;

/** Standard Base64 (RFC 4648 section 4) with padding. Not a pattern of groups: those overflow the stack on a large file. */
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
      z.describe('Images, PDFs or text for the prompt; media_type e.g. "image/png", data in Base64.'),
    ),
);
export type Attachment = NonNullable<z.infer<typeof Attachments>>[number];

export const Model = z.optional(
  z.string().check(
    // Never anything that `claude` would take for an option.
    z.refine((name) => /^[a-zA-Z0-9][\w.:/@[\]-]{0,127}$/.test(name), "not a model's name"),
    z.describe('Alias or full name, e.g. "opus". Default: the machine\'s setting.'),
  ),
);

export const PermissionMode = z.optional(
  z
    .string()
    .check(
      z.describe(
        "What the agent may do without asking. `plan`: read and plan only. `dontAsk`: what would need asking is denied. " +
          "`default`: asks before edits and commands. `acceptEdits`: edits files freely. `auto`: a classifier decides. " +
          "`bypassPermissions`: never asks. The machine's owner sets the default and the highest mode allowed.",
      ),
    ),
);
