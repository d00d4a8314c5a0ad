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

  /** `onPicture` is given what the camera sees, some times a second. */
  constructor(size: Size, onPicture: (image: PixelInput) => void) {
    this.#size = size;
    this.#onPicture = onPicture;
    this.#video.style.aspectRatio = `${size.width} / ${size.height}`;
  }

  get running(): boolean {
    return this.#stream !== undefined;
  }

  /** @throws whatever the browser says of a camera that is missing, busy or not allowed. */
  async start(): Promise<void> {
    if (navigator.mediaDevices === undefined) throw new Error("cameras need a secure page: HTTPS or localhost");
    this.#stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    this.#video.srcObject = this.#stream;
    await this.#video.play();
    this.#timer = setInterval(() => {
      const image = this.picture();
      if (image !== undefined) this.#onPicture(image);
    }, INTERVAL);
  }

  /** What the camera sees now. */
  picture(): PixelInput | undefined {
    const { videoWidth: width, videoHeight: height } = this.#video;
    const { checked: invert } = byId("invert", HTMLInputElement);
    return width === 0 ? undefined : middleOf(this.#video, { width, height }, this.#size, invert);
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = undefined;
    this.#video.srcObject = null;
  }
}
