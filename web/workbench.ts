import { type Clusterer, type ListedBundle, loadClusterer, type WebImage } from "../runtime/web.ts";
import { type Given, verdicts } from "./assigning.ts";
import { showClusters } from "./cluster-list.ts";
import { Clusters } from "./clusters.ts";
import { describe, summary } from "./description.ts";
import { type Choice, choice, choose, measure, offerGraphs, showDevice, whileFixed } from "./device.ts";
import { announce, byId, download, newest } from "./dom.ts";
import { isLightOnDark } from "./drawing.ts";
import type { FoundFile } from "./files.ts";
import { type Assigned, Gallery } from "./gallery.ts";
import { ImageInputs, type Inputs, TableInputs } from "./inputs.ts";
import { attempt } from "./notices.ts";
import { Picture } from "./picture.ts";
import { type Preview, readPreview } from "./preview.ts";
import { renamedBundle } from "./renamed.ts";
import { Result } from "./result.ts";

/** What a bundle is shown with. */
interface Look {
  readonly preview: Preview;
  /** Whether its images are light on dark. */
  readonly dark: boolean;
}

/** All that is done with one open bundle. */
export class Workbench {
  readonly #clusters: Clusters;
  readonly #picture: Picture;
  readonly #result: Result;
  readonly #gallery: Gallery;
  readonly #inputs: Inputs;
  readonly #stop = new AbortController();
  #clusterer: Clusterer<WebImage>;
  #chosen: Choice;
  #heard: number | undefined;
  #unsaved = false;

  /** Opens a bundle on the device that is chosen, and the graph that is best there. @throws {SubspanError} as the runtime's `loadClusterer`. */
  static async open(bundle: ListedBundle, signal: AbortSignal): Promise<Workbench> {
    const preview = await readPreview(bundle);
    const dark = await isLightOnDark(preview.typical.flatMap((pictures) => pictures.slice(0, 1)));
    const clusterer = await load(bundle, { ...choice(), dtype: "auto" }, signal);
    offerGraphs(bundle);
    return new Workbench(clusterer, { preview, dark });
  }

  private constructor(clusterer: Clusterer<WebImage>, { preview, dark }: Look) {
    const { manifest } = clusterer.info;
    this.#clusterer = clusterer;
    this.#chosen = choice();
    this.#clusters = new Clusters(manifest);
    this.#picture = new Picture(this.#clusters, preview);
    this.#result = new Result(this.#clusters, preview, this.#picture);
    this.#gallery = new Gallery(
      this.#clusters,
      () => this.#clusterer,
      (assigned) => this.#select(assigned),
    );
    const look = newest((given: Given | undefined) => attempt("Assigning", () => this.#look(given)));
    const taker = { look, take: (samples: Parameters<Gallery["add"]>[0]) => void this.#gallery.add(samples) };
    this.#inputs =
      manifest.input.kind === "images" ? new ImageInputs(manifest, dark, taker) : new TableInputs(manifest, taker);
    showClusters(this.#clusters, manifest.clusterSizes, preview, this.#stop.signal);
    byId("seen", HTMLElement).hidden = manifest.input.kind !== "images";
    byId("name", HTMLElement).textContent = manifest.name;
    byId("summary", HTMLElement).textContent = summary(manifest);
    describe(clusterer.info);
    showDevice(clusterer.info);
    byId("timings", HTMLElement).hidden = true;
    byId("timings", HTMLTableElement).tBodies[0]!.replaceChildren();
    this.#listen();
  }

  get name(): string {
    return this.#clusterer.info.name;
  }

  /** Once it is seen: what needs a size on the screen is drawn. */
  start(): void {
    this.redraw();
    byId("name", HTMLElement).focus();
    announce(`${this.name} is open. ${byId("summary", HTMLElement).textContent}`);
  }

  /** Files that were dropped or pasted. */
  take(files: readonly FoundFile[]): void {
    this.#inputs.take(files);
  }

  redraw(): void {
    this.#picture.draw();
    this.#inputs.redraw();
  }

  /** Names that somebody typed are not lost by a slip: they are asked. */
  mayClose(): boolean {
    return !this.#unsaved || confirm(`The names of clusters of “${this.name}” are not saved in a bundle. Let them go?`);
  }

  close(): void {
    this.#stop.abort();
    this.#inputs.close();
    this.#gallery.close();
    this.#result.close();
    void attempt("Closing", () => this.#clusterer.dispose());
  }

  #listen(): void {
    const { signal } = this.#stop;
    const on = (id: string, during: string, task: () => unknown) =>
      byId(id, HTMLElement).addEventListener("click", () => attempt(during, task), { signal });
    on("save", "Saving the bundle", () => this.#save());
    on("measure", "Measuring", () => this.#measure());
    for (const [id, what] of [
      ["devices", "Changing the device"],
      ["dtype", "Changing the precision"],
    ] as const)
      byId(id, HTMLElement).addEventListener("change", () => attempt(what, () => this.#switch()), { signal });
    const sizes = new ResizeObserver(() => this.redraw());
    for (const id of ["picture", "drawing"]) sizes.observe(byId(id, HTMLElement));
    signal.addEventListener("abort", () => sizes.disconnect());
    const renamed = () => {
      this.#unsaved = true;
      this.#picture.draw();
    };
    this.#clusters.addEventListener("change", renamed, { signal });
    // As mayClose, by the browser.
    addEventListener("beforeunload", (event) => this.#unsaved && event.preventDefault(), { signal });
  }

  /** Shows what changes while somebody draws; told to who listens when the cluster is another. */
  async #look(given: Given | undefined): Promise<void> {
    const [verdict] = given === undefined ? [] : await verdicts(this.#clusterer, given);
    if (verdict === undefined) {
      this.#heard = undefined;
      return this.#result.clear("No sample yet", "Draw one: its cluster appears here.");
    }
    this.#result.show(verdict, given!);
    if (this.#heard !== verdict.label) announce(Result.sentence(verdict, this.#clusters));
    this.#heard = verdict.label;
  }

  #select({ sample, verdict }: Assigned): void {
    this.#result.show(verdict, sample.given as Given);
    announce(`${sample.name}: ${Result.sentence(verdict, this.#clusters)}`);
  }

  async #save(): Promise<void> {
    const bytes = await renamedBundle(this.#clusterer.bundle, this.#clusters.manifestNames);
    download(`${this.name}.subspan`, bytes, "application/zip");
    this.#unsaved = false;
    announce("The bundle is saved with its names");
  }

  /** Opens what was chosen, where it was chosen; if that fails, all stays as it was. */
  async #switch(): Promise<void> {
    const wanted = choice();
    byId("device-info", HTMLElement).textContent = "Starting …";
    await whileFixed(async () => {
      try {
        const next = await load(this.#clusterer.bundle, wanted, this.#stop.signal);
        const before = this.#clusterer;
        [this.#clusterer, this.#chosen] = [next, wanted];
        await before.dispose();
      } finally {
        choose(this.#chosen);
        showDevice(this.#clusterer.info);
        describe(this.#clusterer.info);
      }
    });
    await this.#measure();
  }

  async #measure(): Promise<void> {
    const { info } = this.#clusterer;
    const button = byId("measure", HTMLButtonElement);
    button.disabled = true;
    button.textContent = "Measuring …";
    try {
      await measure(info, (samples) => this.#clusterer.assign(blank(info.manifest.input, samples)));
    } finally {
      button.disabled = false;
      button.textContent = "Measure";
    }
  }
}

/** A device that is named, and fails, is an error: no other is what was asked for. */
function load(bundle: ListedBundle, chosen: Choice, signal: AbortSignal): Promise<Clusterer<WebImage>> {
  return loadClusterer(bundle, { ...chosen, strict: chosen.device !== "auto", signal });
}

/** Samples of zeros: time does not depend on what is in them. */
function blank({ shape, dtype }: { readonly shape: readonly (number | string)[]; readonly dtype: string }, n: number) {
  const full = [n, ...shape.slice(1).map(Number)];
  const size = full.reduce((a, b) => a * b, 1);
  return { data: dtype === "uint8" ? new Uint8Array(size) : new Float32Array(size), shape: full };
}
