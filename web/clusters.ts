import type { GraphManifest } from "../runtime/web.ts";
import { make } from "./dom.ts";
import { isDark } from "./theme.ts";

/** The clusters of a bundle and what they are called; a name that is left empty falls back to the number. */
export class Clusters extends EventTarget {
  readonly count: number;
  readonly #names: string[];

  constructor({ clusters, clusterNames }: GraphManifest) {
    super();
    this.count = clusters;
    this.#names = Array.from({ length: clusters }, (_, i) => unnumbered(clusterNames?.[i] ?? "", i));
  }

  /** "" for one without. */
  given(cluster: number): string {
    return this.#names[cluster]!;
  }

  name(cluster: number): string {
    return this.given(cluster) || `Cluster ${cluster}`;
  }

  rename(cluster: number, name: string): void {
    if (this.#names[cluster] === name.trim()) return;
    this.#names[cluster] = name.trim();
    this.dispatchEvent(new Event("change"));
  }

  /** As a manifest holds them: all K, the number where there is no name. */
  get manifestNames(): string[] {
    return this.#names.map((name, i) => name || String(i));
  }

  /** A number on the cluster's colour. */
  chip(cluster: number): HTMLElement {
    const chip = make("span", { className: "chip", textContent: String(cluster), aria: { hidden: "true" } });
    chip.style.setProperty("--hue", String(this.#hue(cluster)));
    return chip;
  }

  /** For canvases; CSS derives the same from --hue. */
  colour(cluster: number, alpha = 1): string {
    return `oklch(${isDark() ? 0.76 : 0.56} ${this.count > 1 ? 0.14 : 0.02} ${this.#hue(cluster)} / ${alpha})`;
  }

  #hue(cluster: number): number {
    return Math.round((360 * cluster) / this.count + 25) % 360;
  }
}

/** A saved name that is but the cluster's number is no name. */
const unnumbered = (name: string, cluster: number) => (name === String(cluster) ? "" : name);
