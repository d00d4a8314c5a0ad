import type { Clusterer, WebImage } from "../runtime/web.ts";
import {
  CHUNK,
  csvOf,
  familiarity,
  type Given,
  type Outcome,
  outcomes,
  type Sample,
  type Verdict,
} from "./assigning.ts";
import type { Clusters } from "./clusters.ts";
import { announce, byId, count, download, make, percent, plural } from "./dom.ts";
import { attempt } from "./notices.ts";
import { pictureElement } from "./pixels.ts";

/** A sample with its verdict. */
export interface Assigned {
  readonly sample: Sample;
  readonly verdict: Verdict;
}

/** Samples shown at once. */
const PAGE = 60;

/** All samples assigned so far: any number, in batches that can be stopped; what failed is listed beside. */
export class Gallery {
  readonly #clusters: Clusters;
  readonly #clusterer: () => Clusterer<WebImage>;
  readonly #onSelect: (assigned: Assigned) => void;
  readonly #stop = new AbortController();
  #batch = new AbortController();
  #waiting: Sample[] = [];
  #outcomes: Outcome[] = [];
  #running = false;
  #speed = "";
  #cluster: number | undefined;
  #pages = 1;
  #selected: Sample | undefined;
  /** Made once: pictures would flicker. */
  readonly #items = new Map<Sample, HTMLLIElement>();

  /** `clusterer` is asked for before every batch: it changes with the device. */
  constructor(clusters: Clusters, clusterer: () => Clusterer<WebImage>, onSelect: (assigned: Assigned) => void) {
    this.#clusters = clusters;
    this.#clusterer = clusterer;
    this.#onSelect = onSelect;
    const { signal } = this.#stop;
    const on = (id: string, task: () => void) => byId(id, HTMLElement).addEventListener("click", task, { signal });
    on("batch-cancel", () => this.cancel());
    on("samples-clear", () => this.clear());
    on("samples-csv", () => this.#download());
    on("more", () => this.#showMore());
    byId("order", HTMLSelectElement).addEventListener("change", () => this.#firstPage(), { signal });
    clusters.addEventListener("change", () => this.#renamed(), { signal });
    this.clear();
  }

  close(): void {
    this.clear();
    this.#stop.abort();
  }

  /** Assigns samples after those that wait; the first of them is shown as the result. */
  async add(samples: readonly Sample[]): Promise<void> {
    this.#waiting = this.#waiting.concat(samples);
    if (this.#running) return;
    this.#running = true;
    while (this.#waiting.length > 0) {
      this.#batch = new AbortController();
      await attempt("Assigning", () => this.#run(this.#batch.signal));
    }
    this.#running = false;
    this.#show();
  }

  /** What runs ends, what waits is let go; what is done stays. */
  cancel(): void {
    this.#batch.abort();
    this.#waiting = [];
    announce("Cancelled; what is assigned stays");
  }

  clear(): void {
    this.#batch.abort();
    this.#waiting = [];
    this.#outcomes = [];
    this.#items.clear();
    this.#speed = "";
    this.#cluster = undefined;
    this.#firstPage();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const [list, before] = [this.#outcomes, this.#outcomes.length];
    const began = performance.now();
    let drawn = 0;
    this.#speed = "";
    while (this.#waiting.length > 0) {
      // Drawing the list costs more than a batch: now and then is enough while there is more to come.
      if (performance.now() - drawn > 700) {
        this.#show();
        drawn = performance.now();
      }
      this.#showProgress(list.length - before);
      const chunk = this.#waiting.splice(0, CHUNK);
      const clusterer = this.#clusterer();
      try {
        list.push(...(await outcomes(clusterer, chunk, signal)));
      } catch (error) {
        if (signal.aborted || clusterer === this.#clusterer()) throw error;
        this.#waiting.unshift(...chunk); // the device was changed meanwhile
      }
      if (list.length <= before + CHUNK) this.#selectFirst(list.slice(before));
    }
    const seconds = (performance.now() - began) / 1000;
    const failed = list.slice(before).filter(({ result }) => result instanceof Error).length;
    const assigned = list.length - before - failed;
    const speed = `${count(assigned)} in ${seconds.toFixed(1)} s, ${count(Math.round(assigned / seconds))} a second`;
    if (list === this.#outcomes && assigned > CHUNK) this.#speed = ` · ${speed}`;
    announce(`${plural(assigned, "sample")} assigned${failed === 0 ? "" : `, ${plural(failed, "failure")}`}`);
  }

  #selectFirst(done: readonly Outcome[]): void {
    const first = done.find(({ result }) => !(result instanceof Error));
    if (first !== undefined) this.#select({ sample: first.sample, verdict: first.result as Verdict });
  }

  #select(assigned: Assigned): void {
    this.#selected = assigned.sample;
    this.#markSelected();
    this.#onSelect(assigned);
  }

  #markSelected(): void {
    for (const [sample, item] of this.#items)
      item.firstElementChild!.setAttribute("aria-current", String(sample === this.#selected));
  }

  #firstPage(): void {
    this.#pages = 1;
    this.#show();
  }

  #renamed(): void {
    this.#items.clear();
    this.#show();
  }

  #showMore(): void {
    const before = byId("gallery", HTMLElement).childElementCount;
    this.#pages++;
    this.#show();
    byId("gallery", HTMLElement).children[before]?.querySelector("button")?.focus();
  }

  #showProgress(done: number): void {
    const left = this.#waiting.length;
    byId("batch", HTMLElement).hidden = !this.#running;
    const bar = byId("batch-bar", HTMLProgressElement);
    [bar.max, bar.value] = [done + left || 1, done];
    byId("batch-text", HTMLElement).textContent = `${count(done)} of ${count(done + left)}`;
  }

  get #assigned(): Assigned[] {
    return this.#outcomes.flatMap(({ sample, result }) =>
      result instanceof Error ? [] : [{ sample, verdict: result }],
    );
  }

  #show(): void {
    const all = this.#assigned;
    byId("samples", HTMLElement).hidden = this.#outcomes.length === 0 && !this.#running;
    if (!this.#running) byId("batch", HTMLElement).hidden = true;
    this.#showFailures();
    this.#showFilters(all);
    const own = ordered(
      all.filter(({ verdict }) => this.#cluster === undefined || verdict.label === this.#cluster),
      byId("order", HTMLSelectElement).value,
    );
    const shown = own.slice(0, this.#pages * PAGE);
    byId("gallery", HTMLElement).replaceChildren(...shown.map((one) => this.#item(one)));
    this.#markSelected();
    byId("more", HTMLElement).hidden = shown.length === own.length;
    const part = shown.length < own.length ? `, ${count(shown.length)} shown` : "";
    byId("samples-summary", HTMLElement).textContent =
      `${plural(all.length, "sample")} assigned${part}${this.#running ? "" : this.#speed}`;
  }

  #item(assigned: Assigned): HTMLLIElement {
    const item = this.#items.get(assigned.sample) ?? this.#newItem(assigned);
    this.#items.set(assigned.sample, item);
    return item;
  }

  #newItem({ sample, verdict }: Assigned): HTMLLIElement {
    const name = this.#clusters.name(verdict.label);
    const kind = familiarity(verdict.novelty);
    const button = make(
      "button",
      {
        type: "button",
        title: sample.name,
      },
      ...(isImage(sample.given) ? [pictureElement(sample.given, "image")] : []),
      this.#clusters.chip(verdict.label),
      make("span", { className: "who", textContent: name }),
      make("span", { className: "file", textContent: baseName(sample.name) }),
      make("span", { className: "sure", textContent: percent(verdict.confidence) }),
    );
    button.setAttribute("aria-label", `${sample.name}: ${name}, ${percent(verdict.confidence)} confident`);
    if (kind !== "familiar")
      button.append(
        make("span", { className: "flag", textContent: kind === "unlike" ? "⚠ unlike any seen" : "⚠ unusual" }),
      );
    button.addEventListener("click", () => this.#select({ sample, verdict }));
    return make("li", {}, button);
  }

  #showFilters(all: readonly Assigned[]): void {
    const sizes = new Map<number, number>();
    for (const { verdict } of all) sizes.set(verdict.label, (sizes.get(verdict.label) ?? 0) + 1);
    const choices = [undefined, ...[...sizes.keys()].sort((a, b) => a - b)];
    const buttons = choices.map((cluster) => {
      const button = make("button", { type: "button", aria: { pressed: String(cluster === this.#cluster) } });
      if (cluster !== undefined) button.append(this.#clusters.chip(cluster));
      const size = count(cluster === undefined ? all.length : sizes.get(cluster)!);
      button.append(`${cluster === undefined ? "All" : this.#clusters.name(cluster)} · ${size}`);
      button.addEventListener("click", () => {
        this.#cluster = cluster;
        this.#firstPage();
        byId("filters", HTMLElement).querySelector<HTMLElement>('[aria-pressed="true"]')?.focus();
      });
      return button;
    });
    byId("filters", HTMLElement).replaceChildren(...buttons);
  }

  #showFailures(): void {
    const failed = this.#outcomes.filter(({ result }) => result instanceof Error);
    const panel = byId("failures", HTMLDetailsElement);
    panel.hidden = failed.length === 0;
    panel.querySelector("summary")!.textContent = plural(failed.length, "failure");
    const lines = failed
      .slice(0, 200)
      .map(({ sample, result }) =>
        make("li", {}, make("strong", { textContent: sample.name }), ` ${(result as Error).message}`),
      );
    if (failed.length > lines.length)
      lines.push(make("li", { textContent: `and ${count(failed.length - lines.length)} more, all in the CSV` }));
    panel.querySelector("ul")!.replaceChildren(...lines);
  }

  #download(): void {
    download(
      "labels.csv",
      csvOf(this.#outcomes, (cluster) => this.#clusters.name(cluster)),
      "text/csv",
    );
  }
}

function ordered(all: readonly Assigned[], order: string): readonly Assigned[] {
  if (order === "unsure") return all.toSorted((a, b) => a.verdict.confidence - b.verdict.confidence);
  return order === "novel" ? all.toSorted((a, b) => b.verdict.novelty - a.verdict.novelty) : all;
}

const baseName = (path: string) => path.slice(path.lastIndexOf("/") + 1);
const isImage = (given: Sample["given"]): given is Exclude<Given, Float32Array> =>
  !(given instanceof Float32Array || given instanceof Error);
