import { fail } from "./error.ts";

/** Parses `tags=a:yes,b:no` (has tag a, lacks tag b) of list and bulk deletion. @throws PlatformFailure `upload_invalid` */
export function tagFilter(query: string | undefined): (tags: readonly string[]) => boolean {
  if (query === undefined || query === "") return () => true;
  const wanted = query.split(",").map((term) => {
    const [, tag, answer] = /^(.+):(yes|no)$/.exec(term) ?? [];
    if (tag === undefined)
      return fail({ code: "upload_invalid", message: `tags: "${term}" is not <tag>:yes or <tag>:no` });
    return { tag, present: answer === "yes" };
  });
  return (tags) => wanted.every(({ tag, present }) => tags.includes(tag) === present);
}
