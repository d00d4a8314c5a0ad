import type { Clusters } from "./clusters.ts";
import { byId, make, plural } from "./dom.ts";
import type { Preview } from "./preview.ts";

/** All clusters: their typical members, how many training samples each has, and what it is called. */
export function showClusters(
  clusters: Clusters,
  sizes: readonly number[],
  { typical }: Preview,
  signal: AbortSignal,
): void {
  const inputs = sizes.map((_, cluster) => nameInput(clusters, cluster));
  const items = inputs.map((input, cluster) => {
    const size = make("span", { className: "hint", textContent: plural(sizes[cluster]!, "sample") });
    const thumbs = typical[cluster]!.map((src) => make("img", { src, alt: "" }));
    const who = make("div", { className: "who" }, clusters.chip(cluster), input, size);
    return make("li", {}, who, ...(thumbs.length > 0 ? [make("div", { className: "thumbs" }, ...thumbs)] : []));
  });
  byId("clusters", HTMLElement).replaceChildren(...items);
  const follow = () => {
    for (const [cluster, input] of inputs.entries())
      if (input !== document.activeElement) input.value = clusters.given(cluster);
  };
  clusters.addEventListener("change", follow, { signal });
}

function nameInput(clusters: Clusters, cluster: number): HTMLInputElement {
  const input = make("input", {
    type: "text",
    value: clusters.given(cluster),
    placeholder: `Cluster ${cluster}`,
    maxLength: 60,
    autocomplete: "off",
    aria: { label: `Name of cluster ${cluster}` },
  });
  input.addEventListener("input", () => clusters.rename(cluster, input.value));
  return input;
}
