import type { Clusters } from "./clusters.ts";
import { byId, contextOf } from "./dom.ts";
import { type Preview, placed } from "./preview.ts";

/** From the middle of a cluster's points to its name, in CSS pixels. */
const LIFT = 16;

type Point = readonly [x: number, y: number];

/** The training samples in the plane, their clusters, and where a sample lands among them. */
export class Picture {
  readonly #canvas = byId("picture", HTMLCanvasElement);
  readonly #clusters: Clusters;
  readonly #preview: Preview;
  #embedding: ArrayLike<number> | undefined;

  constructor(clusters: Clusters, preview: Preview) {
    this.#clusters = clusters;
    this.#preview = preview;
    byId("picture-panel", HTMLElement).hidden = preview.points === undefined;
    byId("picture-note", HTMLElement).hidden = preview.projection !== undefined;
    this.draw();
  }

  /** Marks a sample; without one, none. */
  mark(embedding?: ArrayLike<number>): void {
    this.#embedding = embedding;
    this.draw();
  }

  draw(): void {
    const { points } = this.#preview;
    if (points === undefined || this.#canvas.clientWidth === 0) return;
    const context = contextOf(this.#canvas);
    const style = getComputedStyle(this.#canvas);
    const mark = this.#embedding && placed(this.#preview, this.#embedding);
    const place = this.#frame(mark);
    const dots = points.label.length > 800 ? 2 : 2.6;
    for (const [i, label] of points.label.entries()) {
      context.fillStyle = this.#clusters.colour(label, 0.6);
      context.beginPath();
      context.arc(...place([points.x[i]!, points.y[i]!]), dots, 0, 2 * Math.PI);
      context.fill();
    }
    if (this.#clusters.count <= 60) this.#write(context, place, style);
    if (mark !== undefined) drawMark(context, place(mark), style);
  }

  /** From the plane to the canvas: all points, and the mark, with room to spare; both axes by one scale. */
  #frame(mark: Point | undefined): (point: Point) => [number, number] {
    const { x, y } = this.#preview.points!;
    const xs = mark === undefined ? x : [...x, mark[0]];
    const ys = mark === undefined ? y : [...y, mark[1]];
    const [left, right, low, high] = [least(xs), most(xs), least(ys), most(ys)];
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const scale = Math.min((width - 72) / (right - left || 1), (height - 72) / (high - low || 1));
    return ([px, py]) => [width / 2 + (px - (left + right) / 2) * scale, height / 2 - (py - (low + high) / 2) * scale];
  }

  /** What each cluster is called, outward of the middle of its points, so that none are hidden. */
  #write(
    context: CanvasRenderingContext2D,
    place: (point: Point) => [number, number],
    style: CSSStyleDeclaration,
  ): void {
    const { x, y, label } = this.#preview.points!;
    context.font = `600 12px ${style.fontFamily}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    const centre = [this.#canvas.clientWidth / 2, this.#canvas.clientHeight / 2] as const;
    for (let cluster = 0; cluster < this.#clusters.count; cluster++) {
      const own = label.flatMap((one, i) => (one === cluster ? [i] : []));
      if (own.length === 0) continue;
      const at = place([median(own.map((i) => x[i]!)), median(own.map((i) => y[i]!))]);
      const [dx, dy] = [at[0] - centre[0], at[1] - centre[1]];
      const far = Math.hypot(dx, dy) || 1;
      const text = this.#clusters.given(cluster).slice(0, 18) || String(cluster);
      const half = context.measureText(text).width / 2;
      at[0] = Math.min(Math.max(at[0] + (dx / far) * (LIFT + half), half + 4), this.#canvas.clientWidth - half - 4);
      at[1] += (dy / far) * LIFT;
      context.lineWidth = 4;
      context.strokeStyle = style.backgroundColor;
      context.strokeText(text, ...at);
      context.fillStyle = style.color;
      context.fillText(text, ...at);
    }
  }
}

function drawMark(
  context: CanvasRenderingContext2D,
  [x, y]: readonly [number, number],
  style: CSSStyleDeclaration,
): void {
  for (const [width, colour] of [
    [6, style.backgroundColor],
    [2.5, style.color],
  ] as const) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.beginPath();
    context.arc(x, y, 9, 0, 2 * Math.PI);
    for (const [dx, dy] of [
      [1, 0],
      [0, 1],
      [-1, 0],
      [0, -1],
    ] as const) {
      context.moveTo(x + 9 * dx, y + 9 * dy);
      context.lineTo(x + 15 * dx, y + 15 * dy);
    }
    context.stroke();
  }
}

const least = (values: readonly number[]) => values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
const most = (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
