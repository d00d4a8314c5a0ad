import type { Preview } from "../export/index.ts";
import { flatten, resolveConfig, type Settings } from "./hyperparameters.ts";
import { lopsided } from "./lopsided.ts";
import { barChart, escaped, hue, lineChart, scatter, short } from "./report-charts.ts";
import { STYLE } from "./report-style.ts";
import type { Run, RunEvent } from "./run.ts";

/** What a report shows of a run. */
export interface Report {
  readonly name: string;
  readonly run: Run;
  /** All but its steps, in order. */
  readonly events: readonly RunEvent[];
  readonly environment: Readonly<Record<string, unknown>>;
  /** Of a bundle that was exported from it. */
  readonly preview?: Preview;
}

type EpochEvent = Extract<RunEvent, { readonly type: "epoch" }>;

/** What the numbers that a run ends with mean, in the order they are shown. */
const METRICS: Readonly<Record<string, string>> = {
  agreement: "of the training samples are assigned like an augmented view of them",
  meanConfidence: "mean confidence, calibrated to the agreement",
  readoutAgreement: "of the clustered samples are assigned by the graph as they were clustered",
  sizeEntropy: "evenness of the clusters' sizes: 1 where all are equal",
  eigenvectors: "eigenvectors that were clustered",
  eigengap: "gap of the eigenvalues behind them",
};
const SHARES = new Set(["agreement", "meanConfidence", "readoutAgreement"]);

/** A run as one page of HTML, without scripts and without anything from elsewhere. */
export function reportPage({ name, run, events, environment, preview }: Report): string {
  const { config, state } = run;
  const sections = [
    section("Outcome", outcome(run, events)),
    section("Clusters", clusters(state?.finished?.sizes, preview)),
    section("Choosing K", choice(events)),
    section("Loss", losses(events)),
    section("Eigengaps", eigengaps(events, state?.finished?.metrics.eigenvectors)),
    section("Settings", settings(run)),
    section(
      "Data and environment",
      table([
        ...dataRows(config),
        ...Object.entries(environment).map(([key, value]) => [key, String(value)] as const),
        ...events.flatMap((event) => changesOf(environment, event)),
      ]),
    ),
  ];
  const title = `${name}: ${config.method} on ${config.data.name}`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
<main>
<header>
<p>subspan ${escaped(config.version)} run</p>
<h1>${escaped(name)}</h1>
<p>${escaped(run.method.paper)}; preset ${config.preset}, seed ${config.seed}, ${count(config.data.samples)} samples of ${escaped(config.data.name)}</p>
</header>
${sections.join("\n")}
</main>
</html>
`;
}

const section = (title: string, body: string) =>
  body === "" ? "" : `<section><h2>${escaped(title)}</h2>${body}</section>`;

const count = (value: number) => value.toLocaleString("en-US");

const table = (rows: readonly (readonly [name: string, value: string, note?: string])[]) =>
  `<div class="wide"><table>${rows
    .map(
      ([name, value, note]) =>
        `<tr><th>${escaped(name)}</th><td>${escaped(value)}</td>${note === undefined ? "" : `<td class="note">${escaped(note)}</td>`}</tr>`,
    )
    .join("")}</table></div>`;

function outcome({ state, config }: Report["run"], events: readonly RunEvent[]): string {
  const finished = state?.finished;
  const diverged = events.findLast(({ type }) => type === "diverged") as { readonly message: string } | undefined;
  if (finished === undefined) {
    const why =
      diverged === undefined
        ? "It is not finished: its last state is kept and can be gone on with."
        : `It diverged: ${diverged.message}.`;
    return `<p class="warning">${escaped(why)}</p>`;
  }
  const seconds = events.reduce(
    (sum, event) =>
      sum + (event.type === "epoch" || event.type === "finish" || event.type === "clustering" ? event.seconds : 0),
    0,
  );
  const tiles = [
    [count(finished.sizes.length), "clusters"],
    [count(config.data.samples), "samples"],
    [percent(finished.metrics.agreement ?? 0), "agreement of views"],
    [duration(seconds), "training"],
  ].map(([value, name]) => `<li><b>${escaped(value as string)}</b>${escaped(name as string)}</li>`);
  const known = Object.keys(METRICS).filter((key) => key in finished.metrics);
  const others = Object.keys(finished.metrics).filter((key) => !(key in METRICS));
  const rows = [...known, ...others].map((key) => {
    const value = finished.metrics[key] as number;
    return [key, SHARES.has(key) ? percent(value) : short(value), METRICS[key] ?? ""] as const;
  });
  const cut = events.findLast((event) => event.type === "cut" || event.type === "resumed");
  const wrong = [cut?.type === "cut" ? cut.message : undefined, lopsided(finished.sizes)];
  const warnings = wrong.map((why) =>
    why === undefined ? "" : `<p class="warning">${escaped(`Warning: ${why}.`)}</p>`,
  );
  return `${warnings.join("")}<ul class="tiles">${tiles.join("")}</ul>${table(rows)}<p class="note">No label was seen: these say how settled the clusters are, not how right.</p>`;
}

function clusters(sizes: readonly number[] | undefined, preview: Preview | undefined): string {
  if (sizes === undefined) return "";
  const chart = barChart(
    "Samples in each cluster",
    sizes.map((value, i) => ({ name: String(i), value })),
  );
  if (preview === undefined) return `${chart}<p class="note">Samples in each cluster.</p>`;
  const members = preview.thumbnails.map((thumbnail, i) => {
    const picture =
      thumbnail === null
        ? `<span class="none">no picture</span>`
        : `<img alt="typical sample of cluster ${i}" width="${thumbnail.width}" height="${thumbnail.height}" src="data:image/png;base64,${thumbnail.png}">`;
    return `<li><figure>${picture}<figcaption><i style="background:${hue(i)}"></i>${i}<small>${count(sizes[i] ?? 0)}</small></figcaption></figure></li>`;
  });
  const pictures = preview.thumbnails.some((thumbnail) => thumbnail !== null)
    ? `<ul class="members">${members.join("")}</ul>`
    : "";
  const plane = scatter("Samples in the embedding", preview.points);
  return `${chart}<p class="note">Samples in each cluster${pictures === "" ? "." : "; below, the most typical of each."}</p>${pictures}<div class="plane">${plane}</div><p class="note">The spectral embedding, each cluster toward a corner of a polygon: a sample between two clusters lies between their corners.</p>`;
}

function choice(events: readonly RunEvent[]): string {
  const chosen = events.find((event) => event.type === "clusters");
  if (chosen === undefined) return "";
  const bars = chosen.candidates.map(({ clusters, gap }) => ({
    name: String(clusters),
    value: gap,
    marked: clusters === chosen.clusters,
  }));
  return `${barChart("Relative eigengap of each number of clusters", bars)}<p class="note">Relative eigengaps of the neighbours' affinity after ${escaped(chosen.after)}: ${chosen.clusters} clusters were chosen.</p>`;
}

function losses(events: readonly RunEvent[]): string {
  const epochs = events.filter((event) => event.type === "epoch");
  const phases = [...new Set(epochs.map(({ phase }) => phase))];
  return phases
    .map((phase) =>
      phaseChart(
        phase,
        epochs.filter((event) => event.phase === phase),
      ),
    )
    .join("");
}

function phaseChart(phase: string, epochs: readonly EpochEvent[]): string {
  const last = epochs.at(-1) as EpochEvent;
  const names = Object.keys(last.terms);
  const terms = names.map((name) => ({
    name,
    points: epochs.map(({ epoch, terms }) => [epoch + 1, terms[name] as number] as const),
  }));
  const total = { name: "loss", points: epochs.map(({ epoch, loss }) => [epoch + 1, loss] as const) };
  const seconds = epochs.reduce((sum, event) => sum + event.seconds, 0);
  const ended = last.stop === undefined ? "" : `; ended because ${last.stop}`;
  const chart = lineChart(
    `Loss of ${phase}`,
    "epoch",
    names.length > 1 ? [total, ...terms] : [{ ...total, name: names[0] ?? "loss" }],
  );
  return `<h3>${escaped(phase)}</h3>${chart}<p class="note">${last.epoch + 1} of ${last.epochs} epochs in ${duration(seconds)}, loss ${short(last.loss)} in the end${escaped(ended)}.</p>`;
}

function eigengaps(events: readonly RunEvent[], chosen: number | undefined): string {
  const gaps = events.findLast((event) => event.type === "finish" && event.eigengaps !== undefined) as
    | { readonly eigengaps: readonly number[] }
    | undefined;
  if (gaps === undefined) return "";
  const bars = gaps.eigengaps.map((value, i) => ({ name: String(i + 1), value, marked: i + 1 === chosen }));
  return `${barChart("Eigengaps of the final affinity", bars)}<p class="note">Gap behind each of the leading eigenvalues of the final affinity; ${chosen} eigenvectors were clustered.</p>`;
}

/** Settings, those that are not the preset's marked. */
function settings({ config, method }: Report["run"]): string {
  const preset = flatten(resolveConfig(method, config.preset, { clusters: config.config.clusters }) as Settings);
  const text = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
  const rows = Object.entries(flatten(config.config)).map(([key, value]) => {
    const usual = text(preset[key]);
    return [key, text(value), usual === text(value) ? "" : `the preset has ${usual ?? "none"}`] as const;
  });
  const told = {
    method: config.method,
    preset: config.preset,
    seed: config.seed,
    engine: config.engine,
    device: config.device,
  };
  const general = Object.entries(told).map(([key, value]) => [key, String(value), ""] as const);
  return `<details><summary>${rows.length + general.length} settings</summary>${table([...general, ...rows])}</details>`;
}

const dataRows = ({ data }: Report["run"]["config"]) =>
  [
    ["data", data.name],
    ["samples", `${count(data.samples)} ${data.kind} of [${data.shape}]`],
    ["fingerprint", data.fingerprint],
  ] as const;

/** Where a run went on on something else. */
function changesOf(began: Report["environment"], event: RunEvent): readonly (readonly [string, string])[] {
  if (event.type !== "resumed" || event.environment === undefined) return [];
  const other = Object.entries(event.environment).filter(([key, value]) => value !== began[key]);
  const text = other.map(([key, value]) => `${key} ${value}`).join(", ");
  return text === "" ? [] : [[`from epoch ${event.epoch + 1} of phase ${event.phase + 1}`, text]];
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

function duration(seconds: number): string {
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (value: number) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
