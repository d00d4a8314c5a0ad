import type { GraphManifest } from "../runtime/manifest.ts";
import type { Comparison, ParityReport } from "./parity.ts";

/** What a card tells that the manifest does not. */
export interface CardContent {
  readonly paper: string;
  readonly preset: string;
  /** What each metric means, by its name. */
  readonly meanings: Readonly<Record<string, string>>;
  /** What a reader should know before relying on it. */
  readonly limitations: readonly string[];
  readonly parity: ParityReport;
  /** Names of the parts that are there beside the whole. */
  readonly parts: readonly string[];
}

/** `card.md`: what a clusterer is, for people. */
export function card(manifest: GraphManifest, content: CardContent): string {
  const { name, method, readout, clusters, data, seed, licence, created } = manifest;
  const { paper, preset, limitations, parity, parts } = content;
  return `# ${name}

A clusterer: it assigns ${manifest.input.kind} to ${clusters} clusters that were found without labels. One ONNX graph
(\`model.onnx\`) holds all that a new sample meets: preprocessing, encoder, spectral embedding, assignment.

| | |
| --- | --- |
| method | ${method}, read-out ${readout}, preset ${preset} |
| paper | ${paper} |
| trained on | ${data.name}, ${data.samples} samples (fingerprint ${data.fingerprint.slice(0, 12)}), seed ${seed} |
| input | \`${manifest.input.name}\` ${manifest.input.dtype} [${manifest.input.shape.join(", ")}]; ${manifest.input.preprocessing} |
| licence | ${licence} |
| made | ${created} |

## Clusters

| cluster | training samples |
| --- | --- |
${manifest.clusterSizes.map((size, i) => `| ${manifest.clusterNames?.[i] ?? i} | ${size} |`).join("\n")}

## Outputs

| output | type | |
| --- | --- | --- |
${manifest.outputs.map(({ name, dtype, shape }) => `| \`${name}\` | ${dtype} [${shape.join(", ")}] | ${OUTPUTS[name] ?? ""} |`).join("\n")}

## Metrics

Seen in training, without labels.

| metric | value | |
| --- | --- | --- |
${metricRows(manifest.metrics ?? {}, content.meanings)}

## Use

Node:

\`\`\`ts
import { loadClusterer } from "subspan";

const clusterer = await loadClusterer("PATH/${name}");
const { label, confidence, novelty } = await clusterer.assign({ data, shape: [${["n", ...manifest.input.shape.slice(1)].join(", ")}] });
\`\`\`

Browser: the same, with a URL in place of the path. Command line: \`subspan assign PATH/${name} SOURCE --out labels.csv\`.
Any other program that runs ONNX: feed \`${manifest.input.name}\`, fetch \`label\`.
${parts.length === 0 ? "" : `\nIn parts, one after the other: ${parts.map((part) => `\`${part}.onnx\``).join(", ")}.\n`}
## Parity

The graph against what it was exported from; details in \`parity.json\`.

| reference | samples | equal labels | largest difference |
| --- | --- | --- | --- |
${[...parity.comparisons, ...variantComparisons(parity)].map(comparisonRow).join("\n")}

## Limitations

${limitations.map((limitation) => `- ${limitation}`).join("\n")}
`;
}

const OUTPUTS: Readonly<Record<string, string>> = {
  label: "cluster, from 0",
  confidence: "calibrated probability of `label`",
  novelty: "share of training samples nearer to the training data; near 1 is unlike anything seen",
  probabilities: "of every cluster",
  embedding: "spectral embedding",
  latent: "encoder output",
  coefficients: "self-expression over the dictionary",
};

function metricRows(metrics: Readonly<Record<string, number>>, meanings: CardContent["meanings"]): string {
  const names = Object.keys(metrics).sort();
  const value = (name: string) => Number((metrics[name] as number).toPrecision(4));
  return names.map((name) => `| ${name} | ${value(name)} | ${meanings[name] ?? ""} |`).join("\n");
}

/** Those of the graphs of lower precision, each told by its name. */
const variantComparisons = ({ variants = {} }: ParityReport): Comparison[] =>
  Object.entries(variants).flatMap(([name, { comparisons }]) =>
    comparisons.map((comparison) => ({
      ...comparison,
      reference: `model.${name}.onnx against ${comparison.reference}`,
    })),
  );

function comparisonRow({ reference, samples, labelAgreement, outputs }: Comparison): string {
  const worst = Object.values(outputs).reduce((most, { maxAbs }) => Math.max(most, maxAbs), 0);
  return `| ${reference} | ${samples} | ${(labelAgreement * 100).toFixed(2)} % | ${worst.toExponential(1)} |`;
}
