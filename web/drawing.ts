import type { PixelInput } from "../runtime/web.ts";
import { announce, byId, contextOf } from "./dom.ts";
import type { Size } from "./pixels.ts";

/** A line somebody drew: points as shares of the canvas's width and height. */
type Stroke = (readonly [x: number, y: number])[];

/** How far an arrow key moves the pen, as a share of the canvas; with Shift, three times as far. */
const STEP = 0.025;
/** How much of the image the ink takes when it is centred: as in handwritten digits, 20 of 28 pixels. */
const FILL = 20 / 28;

/** Where people draw: by mouse, touch, pen or keys. */
export class Drawing {
  readonly #canvas = byId("drawing", HTMLCanvasElement);
  readonly #sheet = byId("sheet", HTMLElement);
  readonly #pen = byId("pen", HTMLElement);
  readonly #size: Size;
  readonly #onChange: (image: PixelInput | undefined) => void;
  readonly #stop = new AbortController();
  #strokes: Stroke[] = [];
  #cursor: readonly [number, number] = [0.5, 0.5];
  #penDown = false;

  /** @param dark - whether the clusterer's images are light on dark. `onChange` is told of every new picture. */
  constructor(size: Size, dark: boolean, onChange: (image: PixelInput | undefined) => void) {
    this.#size = size;
    this.#onChange = onChange;
    this.#canvas.style.aspectRatio = `${size.width} / ${size.height}`;
    byId("ink", HTMLInputElement).value = dark ? "#ffffff" : "#000000";
    byId("paper", HTMLInputElement).value = dark ? "#000000" : "#ffffff";
    const { signal } = this.#stop;
    const listen = { signal };
    this.#canvas.addEventListener("pointerdown", (event) => this.#begin(event), listen);
    this.#canvas.addEventListener("pointermove", (event) => this.#draw(event), listen);
    this.#sheet.addEventListener("keydown", (event) => this.#key(event), listen);
    this.#sheet.addEventListener("keyup", () => this.#sheet.classList.add("keys"), listen);
    this.#sheet.addEventListener("blur", () => this.#leave(), listen);
    byId("undo", HTMLButtonElement).addEventListener("click", () => this.undo(), listen);
    byId("clear", HTMLButtonElement).addEventListener("click", () => this.clear(), listen);
    for (const id of ["ink", "paper", "pen-width", "centre"])
      byId(id, HTMLInputElement).addEventListener("input", () => this.#changed(), listen);
    this.show();
  }

  /** What was drawn as the clusterer sees it; undefined for an empty sheet. */
  get image(): PixelInput | undefined {
    if (this.#strokes.length === 0) return undefined;
    const { width, height } = this.#size;
    if (!byId("centre", HTMLInputElement).checked) return this.#painted([0.5, 0.5], 1);
    // First so that the ink fills its share of the image, its box in the middle; then its centre of mass there.
    const xs = this.#strokes.flatMap((stroke) => stroke.map(([x]) => x * width));
    const ys = this.#strokes.flatMap((stroke) => stroke.map(([, y]) => y * height));
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const room = FILL * Math.min(width, height) - this.#penWidth * Math.min(width, height);
    const scale = Math.min(room / Math.max(right - left, bottom - top, 1e-6), 3);
    const middle: [number, number] = [(left + right) / 2 / width, (top + bottom) / 2 / height];
    const [dx, dy] = centreOfMass(this.#painted(middle, scale), byId("paper", HTMLInputElement).value);
    return this.#painted([middle[0] + dx / scale, middle[1] + dy / scale], scale);
  }

  clear(): void {
    this.#strokes = [];
    this.#liftPen();
    this.#changed();
  }

  undo(): void {
    this.#strokes.pop();
    this.#liftPen();
    this.#changed();
  }

  close(): void {
    this.#stop.abort();
  }

  get #penWidth(): number {
    return Number(byId("pen-width", HTMLInputElement).value) / 100;
  }

  #begin(event: PointerEvent): void {
    if (event.button !== 0) return;
    event.preventDefault();
    this.#sheet.classList.remove("keys");
    this.#sheet.focus({ preventScroll: true });
    this.#canvas.setPointerCapture(event.pointerId);
    this.#liftPen();
    this.#strokes.push([this.#at(event)]);
    this.#changed();
  }

  #draw(event: PointerEvent): void {
    if (!this.#canvas.hasPointerCapture(event.pointerId)) return;
    const between = event.getCoalescedEvents?.() ?? [];
    for (const moved of between.length > 0 ? between : [event]) this.#strokes.at(-1)?.push(this.#at(moved));
    this.#changed();
  }

  #at(event: PointerEvent): readonly [number, number] {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    return [(event.clientX - left) / width, (event.clientY - top) / height];
  }

  #key(event: KeyboardEvent): void {
    const moves: Readonly<Record<string, readonly [number, number]>> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const move = moves[event.key];
    if (move !== undefined) this.#movePen(move, event.shiftKey ? 3 * STEP : STEP);
    else if (event.key === " ") this.#penDown ? this.#liftPen() : this.#lowerPen();
    else if (event.key === "Backspace") this.undo();
    else if (event.key === "Delete") this.clear();
    else return;
    event.preventDefault();
  }

  #movePen([dx, dy]: readonly [number, number], step: number): void {
    const within = (value: number) => Math.min(1, Math.max(0, value));
    this.#cursor = [within(this.#cursor[0] + dx * step), within(this.#cursor[1] + dy * step)];
    if (this.#penDown) {
      this.#strokes.at(-1)?.push(this.#cursor);
      this.#changed();
    } else this.show();
  }

  #lowerPen(): void {
    this.#penDown = true;
    this.#strokes.push([this.#cursor]);
    announce("Pen down");
    this.#changed();
  }

  #leave(): void {
    this.#sheet.classList.remove("keys");
    this.#liftPen();
  }

  #liftPen(): void {
    if (this.#penDown) announce("Pen up");
    this.#penDown = false;
    this.show();
  }

  #changed(): void {
    this.show();
    this.#onChange(this.image);
  }

  show(): void {
    this.#pen.style.left = `${this.#cursor[0] * 100}%`;
    this.#pen.style.top = `${this.#cursor[1] * 100}%`;
    this.#pen.classList.toggle("down", this.#penDown);
    this.#sheet.classList.toggle("drawn", this.#strokes.length > 0);
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (width === 0) return;
    this.#paint(contextOf(this.#canvas), { width, height }, [0.5, 0.5], 1);
  }

  #painted(middle: readonly [number, number], scale: number): ImageData {
    const { width, height } = this.#size;
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
    this.#paint(context, this.#size, middle, scale);
    return context.getImageData(0, 0, width, height);
  }

  /** Paints the strokes so that `middle` lands in the middle, `scale` times as large; the pen stays as wide. */
  #paint(
    context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D,
    { width, height }: Size,
    [mx, my]: readonly [number, number],
    scale: number,
  ): void {
    context.fillStyle = byId("paper", HTMLInputElement).value;
    context.fillRect(0, 0, width, height);
    context.strokeStyle = byId("ink", HTMLInputElement).value;
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = this.#penWidth * Math.min(width, height);
    for (const stroke of this.#strokes) {
      context.beginPath();
      const points = stroke.length === 1 ? [...stroke, stroke[0]!] : stroke;
      for (const [x, y] of points) context.lineTo((0.5 + (x - mx) * scale) * width, (0.5 + (y - my) * scale) * height);
      context.stroke();
    }
  }
}

/** How far the ink's centre of mass is from the middle, as shares of width and height. */
function centreOfMass({ data, width, height }: ImageData, paper: string): readonly [number, number] {
  const background = [1, 3, 5].map((at) => Number.parseInt(paper.slice(at, at + 2), 16));
  let [mass, x, y] = [0, 0, 0];
  for (let pixel = 0; pixel < width * height; pixel++) {
    const ink = background.reduce((sum, value, channel) => sum + Math.abs(data[pixel * 4 + channel]! - value), 0);
    mass += ink;
    x += ink * ((pixel % width) + 0.5);
    y += ink * (Math.floor(pixel / width) + 0.5);
  }
  return mass === 0 ? [0, 0] : [x / mass / width - 0.5, y / mass / height - 0.5];
}

/** Whether a clusterer's typical samples are light on dark, by the brightness of their borders. */
export async function isLightOnDark(pictures: readonly string[]): Promise<boolean> {
  let [sum, count] = [0, 0];
  for (const picture of pictures.slice(0, 12)) {
    const image = new Image();
    image.src = picture;
    await image.decode();
    const { naturalWidth: width, naturalHeight: height } = image;
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    for (let pixel = 0; pixel < width * height; pixel++) {
      const [x, y] = [pixel % width, Math.floor(pixel / width)];
      if (x > 0 && y > 0 && x < width - 1 && y < height - 1) continue;
      sum += data[pixel * 4]! + data[pixel * 4 + 1]! + data[pixel * 4 + 2]!;
      count += 3;
    }
  }
  return count === 0 || sum / count < 128;
}
