import type { GraphManifest, PixelInput } from "../runtime/web.ts";
import type { Sample } from "./assigning.ts";
import { Camera } from "./camera.ts";
import { byId } from "./dom.ts";
import { Drawing } from "./drawing.ts";
import { type FoundFile, imageSamples, onFiles } from "./files.ts";
import { attempt } from "./notices.ts";
import { imageSize } from "./pixels.ts";
import { readTable } from "./table.ts";
import { startTabs } from "./tabs.ts";

/** Who takes what people give. */
export interface Taker {
  /** Samples to assign and to keep. */
  take(samples: readonly Sample[]): void;
  /** A picture that changes, to look at only; none for an empty sheet. */
  look(image: PixelInput | undefined): void;
}

/** Where the samples of one bundle come from. */
export interface Inputs {
  /** Files that were dropped. */
  take(files: readonly FoundFile[]): void;
  redraw(): void;
  close(): void;
}

/** Drawing, files and camera. */
export class ImageInputs implements Inputs {
  readonly #taker: Taker;
  readonly #stop = new AbortController();
  readonly #drawing: Drawing;
  readonly #camera: Camera;
  #kept = 0;

  /** @param dark - whether the images of this clusterer are light on dark. */
  constructor(manifest: GraphManifest, dark: boolean, taker: Taker) {
    this.#taker = taker;
    const { signal } = this.#stop;
    const size = imageSize(manifest);
    this.#drawing = new Drawing(size, dark, (image) => taker.look(image));
    this.#camera = new Camera(size, (image) => taker.look(image));
    byId("invert", HTMLInputElement).checked = dark && manifest.input.shape[3] === 1;
    byId("tabs", HTMLElement).hidden = false;
    byId("panel-table", HTMLElement).hidden = true;
    startTabs(byId("tabs", HTMLElement), (panel) => this.#opened(panel), signal);
    for (const id of ["image-files", "image-folder"]) onFiles(id, (files) => this.take(files), signal);
    const on = (id: string, task: () => void) => byId(id, HTMLElement).addEventListener("click", task, { signal });
    on("keep-drawing", () => this.#keep("drawing", this.#drawing.image));
    on("camera-take", () => this.#keep("picture", this.#camera.picture()));
    on("camera-toggle", () => attempt("Starting the camera", () => this.#toggleCamera()));
    byId("fit-note", HTMLElement).textContent =
      `Pictures of another size are cut to their middle and made ${size.width} × ${size.height}.`;
    // Small grey pictures are drawn best; others come as files.
    const [, height, , channels] = manifest.input.shape;
    byId(channels === 1 && Number(height) <= 64 ? "tab-draw" : "tab-files", HTMLElement).click();
  }

  take(files: readonly FoundFile[]): void {
    byId("tab-files", HTMLElement).click();
    this.#taker.take(imageSamples(files));
  }

  redraw(): void {
    this.#drawing.show();
  }

  close(): void {
    this.#camera.stop();
    this.#showCamera();
    this.#drawing.close();
    this.#stop.abort();
  }

  #opened(panel: string): void {
    if (panel === "panel-draw") this.#drawing.show();
    if (panel === "panel-camera") return;
    this.#camera.stop();
    this.#showCamera();
  }

  #keep(what: string, image: PixelInput | undefined): void {
    if (image !== undefined) this.#taker.take([{ name: `${what} ${++this.#kept}`, given: image }]);
  }

  async #toggleCamera(): Promise<void> {
    const started = this.#camera.wanted ? this.#camera.stop() : this.#camera.start();
    this.#showCamera();
    try {
      await started;
    } finally {
      if (!this.#stop.signal.aborted) this.#showCamera();
    }
  }

  #showCamera(): void {
    const { running, wanted } = this.#camera;
    byId("camera-toggle", HTMLElement).textContent = wanted ? "Stop camera" : "Start camera";
    byId("camera-take", HTMLButtonElement).disabled = !running;
    byId("video", HTMLElement).parentElement!.classList.toggle("drawn", running);
  }
}

/** Rows of numbers: a CSV file, or typed. */
export class TableInputs implements Inputs {
  readonly #taker: Taker;
  readonly #width: number;
  readonly #stop = new AbortController();

  constructor({ input }: GraphManifest, taker: Taker) {
    this.#taker = taker;
    this.#width = Number(input.shape[1]);
    const { signal } = this.#stop;
    byId("tabs", HTMLElement).hidden = true;
    for (const id of ["panel-draw", "panel-files", "panel-camera"]) byId(id, HTMLElement).hidden = true;
    byId("panel-table", HTMLElement).hidden = false;
    byId("table-note", HTMLElement).textContent = `CSV, one sample a row: ${this.#width} numbers`;
    const text = byId("table-text", HTMLTextAreaElement);
    text.placeholder = Array.from({ length: Math.min(this.#width, 6) }, (_, i) => (i * 0.5).toFixed(1)).join(", ");
    onFiles("table-file", (files) => this.take(files), signal);
    byId("table-form", HTMLFormElement).addEventListener(
      "submit",
      (event) => {
        event.preventDefault();
        void attempt("Reading what was typed", () => taker.take(readTable(text.value, "typed", this.#width)));
      },
      { signal },
    );
  }

  take(files: readonly FoundFile[]): void {
    for (const { path, file } of files)
      void attempt(`Reading ${path}`, async () => this.#taker.take(readTable(await file.text(), path, this.#width)));
  }

  redraw(): void {}

  close(): void {
    this.#stop.abort();
  }
}
