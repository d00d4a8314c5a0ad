import { ABLATION } from "./ablations.ts";
import { EBSE_OVER_SENET, PUBLISHED, type Published } from "./published.ts";
import { newest, type Row, spread } from "./rows.ts";

const METHODS = ["dscdan", "ebse", "udll"];

/** Mean, and ± the standard deviation where there is more than one; "" where none has the figure. */
function cell(rows: readonly Row[], column: string, places = 3): string {
  const found = spread(rows, column);
  if (found === undefined) return "";
  const mean = found.mean.toFixed(places);
  return found.count === 1 ? mean : `${mean} ± ${found.deviation.toFixed(places)}`;
}

const cells = (rows: readonly Row[], columns: readonly string[]) => columns.map((column) => cell(rows, column));

/** A Markdown table; columns that are empty in every row are left out. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const kept = head.flatMap((_, i) => (rows.some((row) => row[i] !== "") ? [i] : []));
  const line = (row: readonly string[]) => `| ${kept.map((i) => row[i]).join(" | ")} |`;
  return [line(head), `|${kept.map(() => " --- |").join("")}`, ...rows.map(line)].join("\n");
}

const scoresOf = ({ acc, nmi, ari }: Published) => [acc, nmi, ari].map((score) => score?.toFixed(3) ?? "-").join(" / ");

function publishedCell(method: string, data: string): string {
  const found = PUBLISHED.find((row) => row.method === method && row.data === data);
  return found === undefined ? "" : `${scoresOf(found)}${found.on ? `, on ${found.on}` : ""} (${found.source})`;
}

const HEAD = [
  ...["method", "preset", "settings", "seeds", "seconds", "seen ACC", "NMI", "ARI", "unseen ACC", "NMI", "ARI"],
  ...["by nearest seen", "calibration error", "novelty AUROC", "note", "published ACC / NMI / ARI"],
];

function line(rows: readonly Row[]): string[] {
  const { method = "", data = "", preset = "", settings = "", split, note = "" } = rows[0] as Row;
  const held = split ? `${100 * Number(split)} % held out` : "";
  return [
    ...[method, preset, settings, rows.map(({ seed }) => seed).join(" "), cell(rows, "seconds", 0)],
    ...cells(rows, ["seen_acc", "seen_nmi", "seen_ari", "unseen_acc", "unseen_nmi", "unseen_ari"]),
    ...cells(rows, ["unseen_nearest_acc", "calibration_error", "novelty_auroc"]),
    [held, note].filter((words) => words !== "").join(", "),
    publishedCell(method, data),
  ];
}

/** Our methods first, then the peers. */
const rank = ([row]: readonly Row[]) => Number(!METHODS.includes(row?.method ?? ""));

function dataSection(data: string, groups: readonly (readonly Row[])[]): string {
  const lines = [...groups].sort((a, b) => rank(a) - rank(b)).map(line);
  const others = PUBLISHED.filter((row) => row.data === data && !groups.some(([own]) => own?.method === row.method));
  const published = others.map((row) => [row.method, scoresOf(row), row.on ?? "the same samples", row.source]);
  const rest = table(["published elsewhere", "ACC / NMI / ARI", "on", "source"], published);
  const training = worthOfTraining(groups);
  return [`### ${data}`, table(HEAD, lines), ...training, ...(others.length > 0 ? [rest] : [])].join("\n\n");
}

/** A run on all samples that nobody made a note of: no experiment. */
const isPlain = (row: Row | undefined, method: string, preset: string) =>
  row?.method === method && row.preset === preset && row.split === "" && row.note === "";

/** Whether training `udll` gives more than closed-form ridge without it, by the same affinity and clusters. */
function worthOfTraining(groups: readonly (readonly Row[])[]): string[] {
  const scores = (method: string, preset = "") => {
    const rows = groups.findLast(([row]) => isPlain(row, method, preset) && row?.settings === "");
    return rows && spread(rows, "seen_acc");
  };
  const ours = scores("udll", "best");
  const lines = Object.entries({ ridge: "pixels", "autoencoder-ridge": "its pretrained latents" }).flatMap(
    ([peer, of]) => {
      const theirs = scores(peer);
      if (ours === undefined || theirs === undefined) return [];
      const gain = ours.mean - theirs.mean;
      const verdict =
        gain > Math.max(ours.deviation, theirs.deviation) ? "" : ", within the spread: no gain from training";
      return [`${points(gain)} points of ACC over closed-form ridge on ${of}${verdict}`];
    },
  );
  return lines.length === 0 ? [] : [`\`udll\`, preset best, in-sample: ${lines.join("; ")}.`];
}

const points = (share: number) => `${share < 0 ? "" : "+"}${(100 * share).toFixed(1)}`;

const SCORES = ["acc", "nmi", "ari"] as const;

/** How the table is to be read. */
const BUDGETS =
  "Both train for the same seconds; the rest is SENet's input (scattering) and affinity. In that time it makes some hundred of its " +
  "published 50,000 to 100,000 steps: what is compared is a budget, not what either ends at.";

/** How far `ebse` is ahead of SENet, by data set and on average, in points: of its presets the one that took about as long. */
function headline(groups: readonly (readonly Row[])[]): string[] {
  const lines = EBSE_OVER_SENET.data.flatMap((data) => {
    const last = (method: string, preset: string) =>
      groups.findLast(([row]) => row?.data === data && isPlain(row, method, preset)) ?? [];
    const theirs = last("senet", "");
    const seconds = (rows: readonly Row[]) => spread(rows, "seconds")?.mean ?? Number.POSITIVE_INFINITY;
    const apart = (rows: readonly Row[]) => Math.abs(Math.log(seconds(rows) / seconds(theirs)));
    const [ours] = [last("ebse", "best"), last("ebse", "quick")].sort((a, b) => apart(a) - apart(b));
    if (ours === undefined || ours.length === 0 || theirs.length === 0) return [];
    const means = SCORES.map((score) =>
      [ours, theirs].map((rows) => spread(rows, `seen_${score}`)?.mean ?? Number.NaN),
    );
    const name = `${data}, ${ours[0]?.preset}`;
    return [{ data: name, means: means as [number, number][], took: [ours, theirs].map((r) => cell(r, "seconds", 0)) }];
  });
  if (lines.length === 0) return [];
  const gain = (column: number) =>
    lines.reduce((sum, { means }) => sum + (means[column]?.[0] ?? 0) - (means[column]?.[1] ?? 0), 0) / lines.length;
  const rows = lines.map(({ data, means, took }) => [
    ...[data, ...took],
    ...means.map(([ours, theirs]) => `${ours.toFixed(3)} - ${theirs.toFixed(3)} = ${points(ours - theirs)}`),
  ]);
  const claimed = SCORES.map((score) => points(EBSE_OVER_SENET.gains[score] / 100));
  const last = [
    [`mean of ${lines.length}`, "", "", ...SCORES.map((_, i) => points(gain(i)))],
    [
      `published (${EBSE_OVER_SENET.source}; its data and whether these are points are not open to us)`,
      "",
      "",
      ...claimed,
    ],
  ];
  const head = ["data", "ebse s", "SENet s", "ACC", "NMI", "ARI"];
  return ["### `ebse` less SENet", table(head, [...rows, ...last]), BUDGETS];
}

/** ACC of every method and preset on every data set: in-sample, of the newest settings that are no experiment. */
function overview(groups: readonly (readonly Row[])[]): string {
  const plain = groups.filter(([row]) => row && isPlain(row, row.method as string, row.preset as string));
  const nameOf = ([row]: readonly Row[]) => [row?.method, row?.preset].filter((word) => word !== "").join(" ");
  const names = [...new Set([...plain].sort((a, b) => rank(a) - rank(b)).map(nameOf))];
  const sets = [...new Set(plain.map(([row]) => row?.data ?? ""))];
  // Of several settings those of most seeds, of these the newest.
  const found = (name: string, data: string) =>
    plain
      .filter((rows) => nameOf(rows) === name && rows[0]?.data === data)
      .reduce((best, rows) => (rows.length >= best.length ? rows : best), [] as readonly Row[]);
  const lines = names.map((name) => [name, ...sets.map((data) => cell(found(name, data), "seen_acc"))]);
  return `### ACC, seen samples\n\n${table(["method", ...sets], lines)}`;
}

/** What each change of a recipe does, beside the recipe as it is. */
function ablationSection(method: string, groups: readonly (readonly Row[])[]): string {
  const { data = "", preset = "" } = groups[0]?.[0] ?? {};
  const unchanged = groups.find(([row]) => row?.note === `${ABLATION}no change`);
  const lines = groups.map((rows) => {
    const [before, now] = [unchanged, rows].map((of) => of && spread(of, "seen_acc"));
    const change = before && now && rows !== unchanged ? (100 * (now.mean - before.mean)).toFixed(1) : "";
    return [
      ...[
        (rows[0]?.note ?? "").slice(ABLATION.length),
        rows[0]?.settings ?? "",
        rows.map(({ seed }) => seed).join(" "),
      ],
      ...[cell(rows, "seconds", 0), ...cells(rows, ["seen_acc", "seen_nmi", "seen_ari", "unseen_acc"]), change],
    ];
  });
  const head = ["change", "settings", "seeds", "seconds", "seen ACC", "NMI", "ARI", "unseen ACC", "points of ACC"];
  return `### Ablations of \`${method}\`: ${preset}, ${data}\n\n${table(head, lines)}`;
}

/** The tables of docs/accuracy.md. A group's figures are those of the newest row of each of its seeds. */
export function report(rows: readonly Row[]): string {
  const timed = rows.map((row) => ({
    ...row,
    seconds: row.train_seconds ? String(Number(row.train_seconds) + Number(row.finish_seconds)) : "",
  }));
  const groups = newest(timed);
  const isAblation = ([row]: readonly Row[]) => row?.note?.startsWith(ABLATION) ?? false;
  const runs = groups.filter((group) => !isAblation(group));
  const by = (column: string, of: readonly (readonly Row[])[]) => {
    const values = [...new Set(of.map(([row]) => row?.[column] ?? ""))];
    return values.map((value) => [value, of.filter(([row]) => row?.[column] === value)] as const);
  };
  return [
    ...(runs.length > 0 ? [overview(runs)] : []),
    ...headline(runs),
    ...by("data", runs).map(([data, of]) => dataSection(data, of)),
    ...by("method", groups.filter(isAblation)).map(([method, of]) => ablationSection(method, of)),
  ].join("\n\n");
}
