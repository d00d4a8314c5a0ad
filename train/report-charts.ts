/** Small charts as SVG that follow the page's colours: every mark has a class, every size is in the units of the view box. */

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Bar {
  readonly name: string;
  readonly value: number;
  /** The one that was chosen. */
  readonly marked?: boolean;
}

export const escaped = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** Four significant digits. */
export const short = (value: number) => Number(value.toPrecision(4)).toString();

const WIDTH = 640;
const HEIGHT = 220;
const LEFT = 68;
const BOTTOM = 24;
const TOP = 10;
const RIGHT = 12;
/** A series whose largest value is so many times its least is drawn on a logarithmic axis. */
const LOGARITHMIC = 20;

const n = (value: number) => Number(value.toFixed(2)).toString();

/** Lines over a common x axis of whole numbers; "" without a point. */
export function lineChart(label: string, xName: string, series: readonly Series[]): string {
  const points = series.flatMap(({ points }) => points);
  if (points.length === 0) return "";
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const x = linear(least(xs), most(xs), LEFT, WIDTH - RIGHT);
  const isLogarithmic = least(ys) > 0 && most(ys) > LOGARITHMIC * least(ys);
  const of = isLogarithmic ? Math.log10 : (value: number) => value;
  const ticks = isLogarithmic ? decades(least(ys), most(ys)) : rounds(Math.min(0, least(ys)), most(ys));
  const y = linear(
    of(Math.min(ticks[0] as number, least(ys))),
    of(Math.max(ticks.at(-1) as number, most(ys))),
    HEIGHT - BOTTOM,
    TOP,
  );
  const grid = ticks.map(
    (tick) =>
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${n(y(of(tick)))}" y2="${n(y(of(tick)))}"/>` +
      `<text x="${LEFT - 6}" y="${n(y(of(tick)) + 4)}" text-anchor="end">${short(tick)}</text>`,
  );
  const ends = [...new Set([least(xs), most(xs)])].map(
    (at, i) =>
      `<text x="${n(x(at))}" y="${HEIGHT - 6}" text-anchor="${i === 0 ? "start" : "end"}">${i === 0 ? `${xName} ${at}` : at}</text>`,
  );
  const lines = series.map(({ points }, i) => {
    const path = points.map(([px, py]) => `${n(x(px))},${n(y(of(py)))}`).join(" ");
    const [only] = points as [readonly [number, number]];
    const dot = `<circle class="fill${i % 6}" r="3" cx="${n(x(only?.[0] ?? 0))}" cy="${n(y(of(only?.[1] ?? 0)))}"/>`;
    return points.length === 1 ? dot : `<polyline class="line${i % 6}" points="${path}"/>`;
  });
  return svg(label, WIDTH, HEIGHT, [...grid, ...ends, ...lines]) + legend(series.map(({ name }) => name));
}

/** Bars side by side from 0 up, each with its value to be read on hovering; the names of few are written below. */
export function barChart(label: string, bars: readonly Bar[], { height = 150 } = {}): string {
  if (bars.length === 0) return "";
  const top = Math.max(most(bars.map(({ value }) => value)), Number.MIN_VALUE);
  const step = (WIDTH - LEFT - RIGHT) / bars.length;
  const every = Math.ceil(bars.length / 25);
  const y = linear(0, top, height - BOTTOM, TOP);
  const drawn = bars.map(({ name, value, marked }, i) => {
    const at = LEFT + i * step;
    const above = y(Math.max(0, value));
    const rect = `<rect class="${marked ? "marked" : "bar"}" x="${n(at + step * 0.12)}" y="${n(above)}" width="${n(step * 0.76)}" height="${n(height - BOTTOM - above)}" rx="1.5"><title>${escaped(name)}: ${short(value)}</title></rect>`;
    const below =
      i % every === 0 || marked
        ? `<text x="${n(at + step / 2)}" y="${height - 6}" text-anchor="middle">${escaped(name)}</text>`
        : "";
    return rect + below;
  });
  const axis = [0, top].map(
    (tick) => `<text x="${LEFT - 6}" y="${n(y(tick) + 4)}" text-anchor="end">${short(tick)}</text>`,
  );
  return svg(label, WIDTH, height, [...axis, ...drawn]);
}

/** Dots in a square, coloured by label; at most `MOST_DOTS` of them, evenly picked. */
export function scatter(
  label: string,
  { x, y, label: labels }: { x: readonly number[]; y: readonly number[]; label: readonly number[] },
): string {
  const side = 360;
  const every = Math.ceil(x.length / MOST_DOTS);
  const [fromX, toX, fromY, toY] = [least(x), most(x), least(y), most(y)];
  const [px, py] = [linear(fromX, toX, 8, side - 8), linear(fromY, toY, side - 8, 8)];
  const dots = x.flatMap((value, i) => {
    if (i % every !== 0) return [];
    const name = labels[i] as number;
    return `<circle r="1.7" cx="${n(px(value))}" cy="${n(py(y[i] as number))}" style="fill:${hue(name)}"/>`;
  });
  return svg(label, side, side, dots);
}

const MOST_DOTS = 1500;

/** A colour of its own for each of many clusters, legible on light and dark: turns of the golden angle. */
export const hue = (cluster: number) => `hsl(${Math.round((cluster * 137.508) % 360)} 60% 52%)`;

const svg = (label: string, width: number, height: number, parts: readonly string[]) =>
  `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(label)}">${parts.join("")}</svg>`;

function legend(names: readonly string[]): string {
  const items = names.map((name, i) => `<li><i class="back${i % 6}"></i>${escaped(name)}</li>`);
  return `<ul class="legend">${items.join("")}</ul>`;
}

const least = (values: readonly number[]) => values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
const most = (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);

/** A linear scale; the middle of its range where all values are equal. */
function linear(from: number, to: number, low: number, high: number): (value: number) => number {
  return (value) => (to === from ? (low + high) / 2 : low + ((value - from) / (to - from)) * (high - low));
}

/** Round numbers from `from` to above `to`, about four steps of 1, 2 or 5 times a power of ten. */
function rounds(from: number, to: number): number[] {
  const rough = Math.max((to - from) / 4, 1e-12);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) as number);
  const first = Math.floor(from / step);
  return Array.from({ length: Math.max(1, Math.ceil(to / step) - first) + 1 }, (_, i) => (first + i) * step);
}

/** Powers of ten around a range; of many every other one, or fewer. */
function decades(from: number, to: number): number[] {
  const [first, last] = [Math.floor(Math.log10(from)), Math.ceil(Math.log10(to))];
  const every = Math.ceil((last - first) / 5);
  return Array.from({ length: Math.floor((last - first) / every) + 1 }, (_, i) => 10 ** (first + i * every));
}
