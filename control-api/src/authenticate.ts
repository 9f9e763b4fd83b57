import type { Caller } from "./caller.ts";
import type { Env } from "./env.ts";
import { isLoopbackCaller } from "./loopback.ts";
import { userOfToken } from "./user/access-token.ts";

/**
 * Who is asking: the bearer of a personal access token, or, at a local start, anybody on the same computer.
 * A token that is shown counts, right or wrong; being local is no way around it. `null`: nobody we know.
 */
export async function authenticate(request: Request, env: Env): Promise<Caller | null> {
  const authorization = request.headers.get("authorization");
  if (authorization !== null) {
    const token = /^Bearer (\S{1,2048})$/i.exec(authorization)?.[1];
    return token === undefined ? null : ofAccessToken(token, env);
  }
  if (env.LOOPBACK_OWNER === undefined || !isLoopbackCaller(request)) return null;
  return { user: env.LOOPBACK_OWNER, client: "loopback", machines: null, mayAct: true };
}

async function ofAccessToken(token: string, env: Env): Promise<Caller | null> {
  const user = userOfToken(token);
  return user === null ? null : env.USER.getByName(user).authenticate(token);
}
