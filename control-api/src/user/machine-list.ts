import type {
  MachineEntry,
  ListedMachines,
  MachineQuery,
  NamedMachines,
  NameQuery,
} from "../machines/machine-query.ts";
import type { MachineRecord } from "../machines/machine-record.ts";

/** The identity of a hosted server (hosted-servers.ts). */
const SERVER = "'hosted:' || name || ':' || created_ms";

/**
 * One row for each machine (registry.ts) and each hosted server (server-store.ts), with its place in lists. A server is always online.
 * What a machine told of itself, which is most of a row, is read only where its host name is searched: damaged facts have none.
 *
 *   ?1 now   ?2 visible computers as JSON, or null for all   ?3 what name or host name contains   ?4 added after
 */
const LISTED = `
  SELECT name, iif(online = 1 AND lease_ms > ?1, 0, iif(last_seen_ms IS NULL, 2, 1)) AS rank,
    iif(online = 1 AND lease_ms > ?1, 0, ifnull(last_seen_ms, 0)) AS seen_ms
  FROM machine
  WHERE (?2 IS NULL OR identity IN (SELECT value FROM json_each(?2))) AND created_ms > ?4
    AND (?3 = '' OR instr(name, ?3) > 0 OR instr(lower(iif(json_valid(facts), facts ->> '$.hostname', '')), ?3) > 0)
  UNION ALL SELECT name, 0, 0 FROM server
  WHERE (?2 IS NULL OR ${SERVER} IN (SELECT value FROM json_each(?2))) AND created_ms > ?4 AND (?3 = '' OR instr(name, ?3) > 0)`;

/** Names as a person counts: build-2 before build-10. Sorted by the name without its last digits, then by length. */
const counted = (name: string): string => `rtrim(${name}, '0123456789'), length(${name}), ${name}`;

/**
 * Lists over a person's machines and hosted servers that need a part of them: a page, the names, those that are online. The part is
 * selected by the database. A person may have a thousand machines, and reading all that they told of themselves takes 10 ms and more.
 */
export class MachineList {
  readonly #sql: SqlStorage;
  readonly #recordOf: (name: string) => MachineRecord | null;

  /** @param recordOf the machine or hosted server of a name, in full */
  constructor(sql: SqlStorage, recordOf: (name: string) => MachineRecord | null) {
    this.#sql = sql;
    this.#recordOf = recordOf;
  }

  page(
    { visible, words = "", addedAfterMs = -1, after, skip = 0, limit }: MachineQuery,
    nowMs: number,
  ): ListedMachines {
    const filter = [nowMs, jsonOf(visible), words.toLowerCase(), addedAfterMs] as const;
    const { total, online } = this.#sql
      .exec<{ total: number; online: number }>(
        `SELECT count(*) AS total, ifnull(sum(rank = 0), 0) AS online FROM (${LISTED})`,
        ...filter,
      )
      .one();
    const from = after ?? { rank: -1, seenMs: 0, name: "" };
    const names = this.#sql
      .exec<{ name: string }>(
        `SELECT name FROM (${LISTED}) WHERE (rank, -seen_ms, ${counted("name")}) > (?5, ?6, ${counted("?7")})
         ORDER BY rank, seen_ms DESC, ${counted("name")} LIMIT ?8 OFFSET ?9`,
        ...filter,
        from.rank,
        -from.seenMs,
        from.name,
        limit + 1,
        skip,
      )
      .toArray();
    const machines = names.slice(0, limit).flatMap(({ name }) => this.#recordOf(name) ?? []);
    return { machines, total, online, hasMore: names.length > limit };
  }

  /** A page by name. Who is online changes while somebody reads page after page; a name does not, so nothing is skipped or repeated. */
  byName({ visible, after, limit }: NameQuery): NamedMachines {
    const names = this.#sql
      .exec<{ name: string }>(
        `SELECT name FROM (SELECT name, identity FROM machine UNION ALL SELECT name, ${SERVER} FROM server)
         WHERE name > ?1 AND (?2 IS NULL OR identity IN (SELECT value FROM json_each(?2))) ORDER BY name LIMIT ?3`,
        after,
        jsonOf(visible),
        limit + 1,
      )
      .toArray();
    const machines = names.slice(0, limit).flatMap(({ name }) => this.#recordOf(name) ?? []);
    return { machines, hasMore: names.length > limit };
  }

  /** All names, in the order in which a person looks for one. */
  names(): string[] {
    return this.#sql
      .exec<{ name: string }>(
        `SELECT name FROM (SELECT name FROM machine UNION ALL SELECT name FROM server) ORDER BY ${counted("name")}`,
      )
      .toArray()
      .map(({ name }) => name);
  }

  /** Names of those that are online and that the reader may see, sorted. */
  online(visible: readonly string[] | null, nowMs: number): string[] {
    return this.#sql
      .exec<{ name: string }>(
        `SELECT name FROM (${LISTED}) WHERE rank = 0 ORDER BY name`,
        nowMs,
        jsonOf(visible),
        "",
        -1,
      )
      .toArray()
      .map(({ name }) => name);
  }

  /** In the order of `names`. */
  entries(nowMs: number): MachineEntry[] {
    return this.#sql
      .exec<{ name: string; identity: string; online: number; remote_approval: number; elicitation: number }>(
        `SELECT * FROM (SELECT name, identity, online = 1 AND lease_ms > ? AS online, remote_approval, elicitation FROM machine
         UNION ALL SELECT name, ${SERVER}, 1, 0, 0 FROM server) ORDER BY ${counted("name")}`,
        nowMs,
      )
      .toArray()
      .map(({ name, identity, online, remote_approval: remoteApproval, elicitation }) => ({
        name,
        identity,
        online: online === 1,
        remoteApproval: remoteApproval === 1,
        elicitation: elicitation === 1,
      }));
  }
}

function jsonOf(identities: readonly string[] | null): string | null {
  return identities === null ? null : JSON.stringify(identities);
}
