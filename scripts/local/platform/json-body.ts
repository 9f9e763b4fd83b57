import { fail } from "./error.ts";

/** @throws PlatformFailure `upload_invalid` */
export async function readJson(request: Request): Promise<unknown> {
  try {
    return await request.json();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return fail({ code: "upload_invalid", message: `the body is not JSON: ${why}` });
  }
}
