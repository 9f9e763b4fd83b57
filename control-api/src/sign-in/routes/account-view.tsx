import type { NoticeRecord } from "../../audit/notice.ts";
import { OWNER } from "../../http/caller.ts";
import { accountsOf } from "../accounts/directory.ts";
import type { PasskeyRecord } from "../accounts/passkeys.ts";
import type { Person } from "../accounts/people.ts";
import type { SessionRecord } from "../accounts/sessions.ts";
import { grantsOf } from "../grants.ts";
import type { PageContext, Session } from "../page-context.ts";
import { AccountPage } from "../pages/account-page.tsx";
import { personPage } from "../person-page.ts";
import { formToken } from "../session.ts";
import { atLocalhost, siteOf } from "../site.ts";

/** What is needed here of a machine. */
type Known = {
  readonly name: string;
  readonly identity: string;
  readonly remoteApproval: boolean;
  readonly elicitation: boolean;
};

/** Notices on the page: what happened in the last weeks, for most people. */
const SHOWN_NOTICES = 20;

/** The account page of a signed-in person, with what a form that was just sent has to say. */
export async function accountPage(
  c: PageContext,
  session: Session,
  more: Partial<Pick<Parameters<typeof AccountPage>[0], "said" | "invitation" | "madeToken">> = {},
  status: 200 | 400 | 401 | 409 | 429 = 200,
): Promise<Response> {
  const { person } = session;
  const accounts = accountsOf(c.env);
  const user = c.env.USER.getByName(person.id);
  const [notices, grants, tokens, machines, passkeys, hasPassword, browsers, people, csrf] = await Promise.all([
    user.notices(SHOWN_NOTICES) as Promise<NoticeRecord[]>,
    grantsOf(person.id, c.env),
    user.tokens(),
    user.machineEntries() as Promise<Known[]>,
    accounts.passkeys(person.id) as Promise<PasskeyRecord[]>,
    accounts.hasPassword(person.id),
    accounts.sessions(person.id) as Promise<SessionRecord[]>,
    person.id === OWNER ? (accounts.people() as Promise<Person[]>) : null,
    formToken(session),
  ]);
  const body = (
    <AccountPage
      person={person}
      csrf={csrf}
      isFresh={session.isFresh}
      notices={notices}
      grants={grants.map((grant) => ({ ...grant, machineNames: namesIn(machines, grant.machines) }))}
      tokens={tokens}
      machines={machines}
      passkeys={passkeys}
      hasPassword={hasPassword}
      hasPasskeys={siteOf(c.req.url) !== null}
      elsewhere={atLocalhost(new URL("/account", c.req.url).href)}
      browsers={browsers}
      thisBrowser={session.id}
      people={people}
      {...more}
    />
  );
  return personPage(c, { title: "Account", status, at: "account" }, body);
}

function namesIn(machines: readonly Known[], identities: readonly string[] | null): string[] | null {
  if (identities === null) return null;
  return machines.filter(({ identity }) => identities.includes(identity)).map(({ name }) => name);
}
