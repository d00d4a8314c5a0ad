import { clearCache, type ListedBundle, type LoadProgress, readManifest, SubspanError } from "../runtime/web.ts";
import { announce, byId, byteSize } from "./dom.ts";
import { bundleAmong, chosenFiles, droppedFiles, type FoundFile, onFiles } from "./files.ts";
import { attempt, clearErrors } from "./notices.ts";
import { forgetManifests } from "./offline.ts";
import { Workbench } from "./workbench.ts";

type View = "start" | "loading" | "work";

/** The page: first a bundle is opened, then samples are given to it. */
export class Page {
  #bench: Workbench | undefined;
  #opening = new AbortController();

  constructor() {
    onFiles("bundle-file", (files) => this.#take(files));
    onFiles("bundle-folder", (files) => this.#take(files));
    byId("bundle-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#try(() => this.open(byId("bundle-url", HTMLInputElement).value.trim()));
    });
    byId("loading-cancel", HTMLElement).addEventListener("click", () => this.#opening.abort(new Error("cancelled")));
    byId("other", HTMLElement).addEventListener("click", () => this.#close());
    byId("forget", HTMLElement).addEventListener("click", () => attempt("Forgetting", forget));
    this.#listenForDrops();
  }

  /**
   * Opens a bundle in place of the one that is open, which stays if that fails.
   *
   * @param source - an address, relative to the page; a file; or a bundle.
   * @throws {SubspanError} as the runtime's `loadClusterer`.
   */
  async open(source: string | Blob | ListedBundle): Promise<void> {
    if (this.#bench?.mayClose() === false) return;
    this.#opening.abort(new Error("another bundle is opened"));
    const opening = new AbortController();
    const { signal } = opening;
    this.#opening = opening;
    clearErrors();
    this.#show("loading");
    showProgress();
    try {
      const bundle = await readManifest(source, { signal, onProgress: showProgress });
      const bench = await Workbench.open(bundle, signal);
      this.#bench?.close();
      this.#bench = bench;
      remember(typeof source === "string" ? source : undefined);
      this.#show("work");
      bench.start();
    } finally {
      if (this.#opening === opening) this.#show(this.#bench === undefined ? "start" : "work");
    }
  }

  /** What is drawn on canvases is drawn again: the colours have changed. */
  redraw(): void {
    this.#bench?.redraw();
  }

  #close(): void {
    if (this.#bench?.mayClose() === false) return;
    this.#bench?.close();
    this.#bench = undefined;
    remember(undefined);
    clearErrors();
    this.#show("start");
    byId("start-title", HTMLElement).focus();
  }

  #show(view: View): void {
    for (const id of ["start", "loading", "work"]) byId(id, HTMLElement).hidden = id !== view;
    byId("other", HTMLElement).hidden = view !== "work";
    document.title = view === "work" ? `${this.#bench?.name} – subspan` : "subspan";
  }

  #try(task: () => unknown): void {
    void attempt(this.#bench === undefined ? "Opening the bundle" : "Opening", task);
  }

  /** A bundle is opened; all else is samples. */
  #take(files: readonly FoundFile[]): void {
    if (files.length === 0) return;
    const bundle = bundleAmong(files);
    if (bundle !== undefined) this.#try(async () => this.open(await bundle()));
    else if (this.#bench !== undefined) this.#bench.take(files);
    else this.#try(() => refuse(files[0]!.path));
  }

  #listenForDrops(): void {
    const veil = byId("drop-veil", HTMLElement);
    let inside = 0;
    const enter = (change: number) => {
      inside = Math.max(0, inside + change);
      veil.hidden = inside === 0;
    };
    const carriesFiles = ({ dataTransfer }: DragEvent) => dataTransfer?.types.includes("Files") ?? false;
    addEventListener("dragenter", (event) => carriesFiles(event) && enter(1));
    addEventListener("dragleave", (event) => carriesFiles(event) && enter(-1));
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault();
      enter(-inside);
      const { dataTransfer } = event;
      if (dataTransfer)
        void attempt("Reading what was dropped", async () => this.#take(await droppedFiles(dataTransfer)));
    });
    addEventListener("paste", ({ clipboardData, target }) => {
      // Tables and texts are copied with a picture of them beside; where text is typed, text is meant.
      const isText = clipboardData?.types.includes("text/plain") || (target as Element).matches("input, textarea");
      if (!isText && clipboardData?.files.length) this.#take(chosenFiles(clipboardData.files));
    });
  }
}

function refuse(path: string): never {
  throw new SubspanError("BUNDLE_INVALID", `expected a .subspan or .onnx file or a bundle's folder, got ${path}`);
}

async function forget(): Promise<void> {
  const [files, manifests] = await Promise.all([clearCache(), forgetManifests()]);
  announce(files || manifests ? "Stored bundles are forgotten" : "No bundle was stored");
  byId("offline", HTMLElement).textContent =
    files || manifests ? "Stored bundles are forgotten." : "No bundle was stored.";
}

function showProgress(event?: LoadProgress): void {
  const bar = byId("loading-bar", HTMLProgressElement);
  const text = byId("loading-text", HTMLElement);
  if (event?.status !== "progress") {
    bar.removeAttribute("value");
    const isGraph = event !== undefined && "file" in event && event.file.endsWith(".onnx");
    text.textContent = event?.status === "done" && isGraph ? "Starting ONNX Runtime" : "Reading the bundle";
    return;
  }
  [bar.max, bar.value] = [event.total, event.loaded];
  text.textContent = `${event.file}: ${byteSize(event.loaded)} of ${byteSize(event.total)}`;
}

/** The address of the page names the bundle, so that it can be shared and opened again. */
function remember(bundle: string | undefined): void {
  const url = new URL(location.href);
  if (bundle === undefined) url.searchParams.delete("bundle");
  else if (bundle !== siteBundle()) url.searchParams.set("bundle", bundle);
  history.replaceState(null, "", url);
}

/** The bundle that a site was written for. */
export const siteBundle = (): string | undefined =>
  document.querySelector<HTMLMetaElement>('meta[name="subspan-bundle"]')?.content;
