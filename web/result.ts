import { familiarity, type Given, type Verdict } from "./assigning.ts";
import type { Clusters } from "./clusters.ts";
import { byId, make, percent, plural } from "./dom.ts";
import type { Picture } from "./picture.ts";
import { pictureElement } from "./pixels.ts";
import type { Preview } from "./preview.ts";

/** Probabilities shown at once; of more clusters the likeliest. */
const BARS = 12;

/** The one sample that is looked at, and what the clusterer says of it. */
export class Result {
  readonly #clusters: Clusters;
  readonly #preview: Preview;
  readonly #picture: Picture;
  readonly #stop = new AbortController();
  #shown: Verdict | undefined;

  constructor(clusters: Clusters, preview: Preview, picture: Picture) {
    this.#clusters = clusters;
    this.#preview = preview;
    this.#picture = picture;
    const input = byId("rename-input", HTMLInputElement);
    const { signal } = this.#stop;
    // What is shown may change while somebody types, as with the camera: the name is for what they saw.
    let naming = 0;
    input.addEventListener("focus", () => (naming = this.#shown?.label ?? 0), { signal });
    input.addEventListener("input", () => clusters.rename(naming, input.value), { signal });
    input.addEventListener("blur", () => this.#showName(), { signal });
    clusters.addEventListener("change", () => this.#show(), { signal });
    this.clear("No sample yet", "Draw, choose or drop one: its cluster appears here.");
  }

  close(): void {
    this.#stop.abort();
  }

  clear(title: string, hint: string): void {
    this.#shown = undefined;
    byId("verdict", HTMLElement).textContent = title;
    byId("confidence", HTMLElement).textContent = hint;
    byId("seen", HTMLElement).replaceChildren();
    byId("novelty", HTMLElement).hidden = byId("rename", HTMLElement).hidden = true;
    byId("typical-panel", HTMLElement).hidden = true;
    byId("picture-text", HTMLElement).textContent = "";
    this.#bars(new Float32Array(this.#clusters.count), -1);
    this.#picture.mark();
  }

  /** @param seen - the sample it is about. */
  show(verdict: Verdict, seen: Given): void {
    byId("seen", HTMLElement).replaceChildren(...(seen instanceof Float32Array ? [] : [pictureElement(seen)]));
    this.#shown = verdict;
    this.#show();
    if (document.activeElement !== byId("rename-input", HTMLElement)) this.#showName();
  }

  #showName(): void {
    byId("rename-input", HTMLInputElement).value = this.#shown ? this.#clusters.given(this.#shown.label) : "";
  }

  /** In one sentence, for people who listen. */
  static sentence({ label, confidence, novelty }: Verdict, clusters: Clusters): string {
    const warning = { familiar: "", unusual: ", unusual", unlike: ", unlike anything seen in training" };
    return `${clusters.name(label)}, ${percent(confidence)} confident${warning[familiarity(novelty)]}`;
  }

  #show(): void {
    if (this.#shown === undefined) {
      this.#bars(new Float32Array(this.#clusters.count), -1);
      return;
    }
    const { label, confidence, novelty, probabilities, embedding } = this.#shown;
    const name = this.#clusters.name(label);
    byId("verdict", HTMLElement).replaceChildren(this.#clusters.chip(label), name);
    byId("confidence", HTMLElement).textContent = `${percent(confidence)} confident · novelty ${novelty.toFixed(3)}`;
    byId("rename", HTMLElement).hidden = false;
    showNovelty(novelty);
    const typical = this.#preview.typical[label] ?? [];
    byId("typical-panel", HTMLElement).hidden = typical.length === 0;
    byId("typical", HTMLElement).replaceChildren(
      ...typical.map((src, i) => make("img", { src, alt: i === 0 ? `Typical members of ${name}` : "" })),
    );
    this.#bars(probabilities, label);
    this.#picture.mark(embedding);
    byId("picture-text", HTMLElement).textContent = this.#preview.projection
      ? `The ring is your sample; each dot one of ${plural(this.#preview.points?.label.length ?? 0, "training sample")}. Dots between two clusters belong a little to both.`
      : "";
  }

  #bars(probabilities: Float32Array, top: number): void {
    const all = Array.from(probabilities, (share, cluster) => ({ share, cluster }));
    const shown = all.length <= BARS ? all : all.sort((a, b) => b.share - a.share).slice(0, BARS);
    const list = byId("bars", HTMLUListElement);
    while (list.childElementCount > shown.length) list.lastElementChild!.remove();
    while (list.childElementCount < shown.length) list.append(emptyBar());
    for (const [i, { share, cluster }] of shown.entries()) {
      const item = list.children[i] as HTMLLIElement;
      const [chip, label, track, value] = item.children as unknown as HTMLElement[];
      const fresh = this.#clusters.chip(cluster);
      item.style.setProperty("--hue", fresh.style.getPropertyValue("--hue"));
      chip!.replaceWith(fresh);
      label!.textContent = this.#clusters.name(cluster);
      (track!.firstElementChild as HTMLElement).style.width = `${share * 100}%`;
      value!.textContent = top < 0 ? "–" : percent(share);
      item.classList.toggle("top", cluster === top);
    }
  }
}

function emptyBar(): HTMLLIElement {
  const track = make("span", { className: "track", aria: { hidden: "true" } }, make("div", { className: "fill" }));
  return make(
    "li",
    {},
    make("span"),
    make("span", { className: "label" }),
    track,
    make("span", { className: "value" }),
  );
}

function showNovelty(novelty: number): void {
  const notice = byId("novelty", HTMLElement);
  const kind = familiarity(novelty);
  notice.hidden = kind === "familiar";
  notice.className = `novelty ${kind}`;
  const [title, text] =
    kind === "unlike"
      ? ["Unlike anything seen in training.", "Its cluster means little, whatever the confidence."]
      : ["Unusual.", `${percent(novelty)} of the training samples are nearer to the training data.`];
  notice.replaceChildren(make("strong", { textContent: title }), ` ${text}`);
}
