import type { PixelInput } from "../runtime/web.ts";
import { byId } from "./dom.ts";
import { middleOf, type Size } from "./pixels.ts";

/** Pictures of a running camera are looked at this often, in milliseconds. */
const INTERVAL = 250;

/** The camera, from when a person starts it until they stop it. */
export class Camera {
  readonly #video = byId("video", HTMLVideoElement);
  readonly #size: Size;
  readonly #onPicture: (image: PixelInput) => void;
  #stream: MediaStream | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Starts and stops so far: a camera that is let in after it was stopped is let go at once. */
  #turns = 0;
  #wanted = false;

  /** `onPicture` is given what the camera sees, some times a second. */
  constructor(size: Size, onPicture: (image: PixelInput) => void) {
    this.#size = size;
    this.#onPicture = onPicture;
    this.#video.style.aspectRatio = `${size.width} / ${size.height}`;
  }

  get running(): boolean {
    return this.#stream !== undefined;
  }

  /** Whether it runs, or will once the person lets it. */
  get wanted(): boolean {
    return this.#wanted;
  }

  /** @throws whatever the browser says of a camera that is missing, busy or not allowed. */
  async start(): Promise<void> {
    if (navigator.mediaDevices === undefined) throw new Error("cameras need a secure page: HTTPS or localhost");
    this.#wanted = true;
    const turn = ++this.#turns;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      if (turn !== this.#turns) return end(stream);
      this.#stream = stream;
      this.#video.srcObject = stream;
      await this.#video.play();
    } catch (error) {
      if (turn !== this.#turns) return;
      this.stop();
      throw error;
    }
    if (turn === this.#turns) this.#timer = setInterval(() => this.#look(), INTERVAL);
  }

  #look(): void {
    const image = this.picture();
    if (image !== undefined) this.#onPicture(image);
  }

  /** What the camera sees now. */
  picture(): PixelInput | undefined {
    const { videoWidth: width, videoHeight: height } = this.#video;
    const { checked: invert } = byId("invert", HTMLInputElement);
    return width === 0 ? undefined : middleOf(this.#video, { width, height }, this.#size, invert);
  }

  stop(): void {
    this.#turns++;
    this.#wanted = false;
    clearInterval(this.#timer);
    if (this.#stream !== undefined) end(this.#stream);
    this.#stream = undefined;
    this.#video.srcObject = null;
  }
}

function end(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}
