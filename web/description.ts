import type { ClustererInfo, GraphManifest } from "../runtime/web.ts";
import { byId, byteSize, count, make, plural } from "./dom.ts";

/** A clusterer in a sentence: "10 clusters of 28 × 28 grey images, found in 9,000 samples of digits:train". */
export function summary({ clusters, input, data }: GraphManifest): string {
  const [, height, width, channels] = input.shape;
  const colour = channels === 1 ? "grey " : channels === 3 ? "colour " : "";
  const what = input.kind === "images" ? `${width} × ${height} ${colour}images` : `rows of ${height} numbers`;
  return `${plural(clusters, "cluster")} of ${what}, found in ${count(data.samples)} samples of ${data.name}`;
}

/** All that a manifest tells. */
export function describe({ manifest, dtype = "fp32", modelBytes, nodes, parameterBytes }: ClustererInfo): void {
  const { method, readout, data, seed, licence, created, input, outputs, metrics = {}, versions } = manifest;
  const parameters = dtype === "fp32" ? `${count(parameterBytes / 4)} parameters` : `parameters in ${dtype}`;
  const shape = (dims: readonly (number | string)[]) => `[${dims.join(", ")}]`;
  const rows: readonly (readonly [string, string])[] = [
    ["Method", `${method}, read-out ${readout}, seed ${seed}`],
    ["Trained on", `${data.name}, ${plural(data.samples, "sample")}, fingerprint ${data.fingerprint.slice(0, 12)}`],
    ["Input", `${input.name} ${input.dtype} ${shape(input.shape)}: ${input.preprocessing}`],
    ["Outputs", outputs.map((output) => `${output.name} ${shape(output.shape)}`).join(", ")],
    ["Graph", `${byteSize(modelBytes)}, ${plural(nodes, "node")}, ${parameters}`],
    ...Object.entries(metrics).map(([name, value]) => [name, String(Number(value.toPrecision(4)))] as const),
    [
      "Made",
      `${created.slice(0, 10)} with ${Object.entries(versions)
        .map((pair) => pair.join(" "))
        .join(", ")}`,
    ],
    ["Licence", licence],
  ];
  byId("about", HTMLElement).replaceChildren(
    ...rows.flatMap(([term, text]) => [make("dt", { textContent: term }), make("dd", { textContent: text })]),
  );
}
