import type { Child } from "hono/jsx";
import type { Costs, Usage } from "../costs/usage.ts";
import { Ago } from "../design/ago.tsx";
import { Foreign } from "../design/foreign.tsx";
import { Note } from "../design/note.tsx";
import { Empty } from "../design/parts.tsx";
import { machinePath } from "./address.ts";
import { projectName } from "./session-row.tsx";

const PERIODS = [
  [7, "7 days"],
  [30, "30 days"],
  [90, "90 days"],
] as const;

/** Projects on the page. The REST API has more. */
const SHOWN_PROJECTS = 30;

/** Machines that are named as missing, for each reason. */
const NAMED_MACHINES = 10;

/** Machines with costs of their sessions as last known. */
const SHOWN_LAST_KNOWN = 20;

const DAY_MS = 24 * 60 * 60_000;

/** The chart, in its own units. It scales with the page. */
const CHART = { width: 600, height: 120, gap: 0.25 };

/** What sessions cost, per day, machine and project. */
export function CostsPage({ costs, todayMs }: { readonly costs: Costs; readonly todayMs: number }) {
  const { days, total, byMachine, byProject, unanswered, lastKnown } = costs;
  return (
    <>
      <a class="back" href="/sessions">
        ‹ Sessions
      </a>
      <h1>Costs</h1>
      <nav class="filters" aria-label="Time">
        {PERIODS.map(([one, name]) => (
          <a href={`/costs?days=${one}`} aria-current={one === days ? "page" : undefined}>
            {name}
          </a>
        ))}
      </nav>
      {unanswered.length === 0 ? null : <Missing unanswered={unanswered} />}
      {total.costUsd === 0 && total.outputTokens === 0 ? (
        <Empty title="Nothing was used">
          <p>{`The machines that answered had no sessions in the last ${days} days.`}</p>
        </Empty>
      ) : (
        <>
          <section class="card">
            <p>
              <strong>{moneyOf(total)}</strong>
              <span class="soft">{` in ${days} days · ${tokensOf(total)}`}</span>
            </p>
            {total.costUsd === 0 ? null : <Chart costs={costs} todayMs={todayMs} />}
          </section>
          <Table
            title="Machines"
            rows={byMachine.map((row) => ({ ...row, name: <a href={machinePath(row.machine)}>{row.machine}</a> }))}
          />
          <Table
            title="Projects"
            rows={byProject.slice(0, SHOWN_PROJECTS).map((row) => ({
              ...row,
              name: (
                <>
                  <Foreign text={projectName(row.project, null)} limit={120} /> <span class="soft">{row.machine}</span>
                </>
              ),
            }))}
          />
          {byProject.length > SHOWN_PROJECTS ? (
            <p class="cut">{`… and ${byProject.length - SHOWN_PROJECTS} more projects, in GET /api/costs`}</p>
          ) : null}
          <p class="soft">
            As the machines worked it out from what Claude Code recorded, in US dollars, days in UTC. What you pay
            depends on your plan. {total.isIncomplete ? "“+” marks sums without a model whose price is not known." : ""}
          </p>
        </>
      )}
      {lastKnown.length === 0 ? null : <LastKnown rows={lastKnown} days={days} />}
    </>
  );
}

/** Machines that could not be asked, by what their sessions had cost when Operator last heard of them. */
function LastKnown({ rows, days }: { readonly rows: Costs["lastKnown"]; readonly days: number }) {
  return (
    <section class="section">
      <h2>As last known</h2>
      <div class="card">
        <p class="soft">
          {`These machines cannot be asked now. Sessions that were in use in the last ${days} days had cost this much in all when they last told of it. It is not in the sums above.`}
        </p>
        <ul class="list">
          {rows.slice(0, SHOWN_LAST_KNOWN).map(({ machine, costUsd, sessions, lastMs }) => (
            <li>
              <span>
                <a href={machinePath(machine)}>{machine}</a>
              </span>
              <span class="sum">
                {dollars(costUsd)}
                <br />
                <span class="soft">
                  {`${sessions} ${sessions === 1 ? "session" : "sessions"}, `}
                  <Ago ms={lastMs} />
                </span>
              </span>
            </li>
          ))}
        </ul>
        {rows.length > SHOWN_LAST_KNOWN ? (
          <p class="cut">{`… and ${rows.length - SHOWN_LAST_KNOWN} more machines, in GET /api/costs`}</p>
        ) : null}
      </div>
    </section>
  );
}

function Missing({ unanswered }: Pick<Costs, "unanswered">) {
  const byReason = [...Map.groupBy(unanswered, ({ why }) => why)];
  return (
    <Note kind="warn">
      {byReason.map(([why, machines]) => {
        const named = machines.slice(0, NAMED_MACHINES).map(({ machine }) => machine);
        const more = machines.length - named.length;
        const names = `${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
        return <p>{`Not in these sums (${why}): ${names}.`}</p>;
      })}
    </Note>
  );
}

/** A bar for each day. The numbers are in the table below it, for those who do not see the chart. */
function Chart({ costs: { days, byDay }, todayMs }: { readonly costs: Costs; readonly todayMs: number }) {
  const known = new Map(byDay.map((one) => [one.day, one.costUsd]));
  const all = Array.from({ length: days }, (_, back) => {
    const day = new Date(todayMs - (days - 1 - back) * DAY_MS).toISOString().slice(0, 10);
    return { day, costUsd: known.get(day) ?? 0 };
  });
  const most = Math.max(...all.map(({ costUsd }) => costUsd), 0.01);
  const step = CHART.width / days;
  return (
    <>
      <svg
        class="chart"
        viewBox={`0 0 ${CHART.width} ${CHART.height}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Cost of each day; the most on one day is ${dollars(most)}`}
      >
        {all.map(({ day, costUsd }, at) => {
          const height = costUsd === 0 ? 0.75 : Math.max(2, (costUsd / most) * CHART.height);
          return (
            <rect
              class={costUsd === 0 ? "zero" : undefined}
              x={(at * step).toFixed(2)}
              y={(CHART.height - height).toFixed(2)}
              width={(step * (1 - CHART.gap)).toFixed(2)}
              height={height.toFixed(2)}
            >
              <title>{`${day}: ${dollars(costUsd)}`}</title>
            </rect>
          );
        })}
      </svg>
      <p class="ends soft">
        <span>{all[0]?.day}</span>
        <span>{all.at(-1)?.day}</span>
      </p>
      <details class="plain">
        <summary>Each day</summary>
        <Lines rows={byDay.toReversed().map((one) => ({ ...one, name: one.day }))} />
      </details>
    </>
  );
}

type Line = Usage & { readonly name: Child };

function Table({ title, rows }: { readonly title: string; readonly rows: readonly Line[] }) {
  return (
    <section class="section">
      <h2>{title}</h2>
      <div class="card">
        <Lines rows={rows} />
      </div>
    </section>
  );
}

function Lines({ rows }: { readonly rows: readonly Line[] }) {
  return (
    <ul class="list">
      {rows.map((row) => (
        <li>
          <span>{row.name}</span>
          <span class="sum">
            {moneyOf(row)}
            <br />
            <span class="soft">{tokensOf(row)}</span>
          </span>
        </li>
      ))}
    </ul>
  );
}

function moneyOf({ costUsd, isIncomplete }: Usage): string {
  if (costUsd === 0 && isIncomplete) return "Price not known";
  return `${dollars(costUsd)}${isIncomplete ? "+" : ""}`;
}

function dollars(usd: number): string {
  if (usd > 0 && usd < 0.01) return "under $0.01";
  return `$${usd.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

function tokensOf({ inputTokens, outputTokens }: Usage): string {
  const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
  return `${short.format(inputTokens)} in, ${short.format(outputTokens)} out`;
}
