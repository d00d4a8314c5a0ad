import sharp, { type Sharp } from "sharp";
import type { ErrorCode } from "../../runtime/node.ts";
import { Random } from "../../train/random.ts";

const WIDTH = 61;
const HEIGHT = 43;

/** Slopes with noise on them: [h, w, channels] of uint8. */
function scene(channels: 1 | 3 | 4): Sharp {
  const random = new Random(4, "pictures");
  const at = (i: number) => ((i % (WIDTH * channels)) * 255) / (WIDTH * channels);
  const data = Uint8Array.from({ length: WIDTH * HEIGHT * channels }, (_, i) => (at(i) + random.integer(60)) % 256);
  return sharp(data, { raw: { width: WIDTH, height: HEIGHT, channels } });
}

/** Pictures of every kind that is decoded alike in Node and in browsers, by name. */
export async function goodPictures(): Promise<Readonly<Record<string, Buffer>>> {
  const files: Readonly<Record<string, Sharp>> = {
    "rgb.png": scene(3).png(),
    "grey.png": scene(1).toColourspace("b-w").png(),
    "alpha.png": scene(4).png(),
    "16-bit.png": scene(3).toColourspace("rgb16").png(),
    "palette.png": scene(3).png({ palette: true, colours: 16 }),
    "half.jpg": scene(3).jpeg({ quality: 85, chromaSubsampling: "4:2:0" }),
    "full.jpg": scene(3).jpeg({ quality: 85, chromaSubsampling: "4:4:4", progressive: true }),
    "turned.jpg": scene(3).withMetadata({ orientation: 6 }).jpeg({ quality: 90, chromaSubsampling: "4:4:4" }),
    "lossy.webp": scene(3).webp({ quality: 80 }),
    "lossless.webp": scene(4).webp({ lossless: true }),
    "still.gif": scene(3).gif(),
  };
  const entries = Object.entries(files).map(async ([name, file]) => [name, await file.toBuffer()] as const);
  return Object.fromEntries(await Promise.all(entries));
}

/** Files that are refused, in Node and in browsers alike, and how. */
export async function badPictures(): Promise<readonly { name: string; code: ErrorCode; file: Buffer }[]> {
  const { "rgb.png": png, "full.jpg": jpeg, "lossy.webp": webp, "still.gif": gif } = await goodPictures();
  const pages = await Promise.all([scene(3).png().toBuffer(), scene(3).negate().png().toBuffer()]);
  const moving = () => sharp(pages, { join: { animated: true } });
  const half = (file: Buffer) => file.subarray(0, file.length >> 1);
  const refused = (code: ErrorCode, files: Readonly<Record<string, Buffer>>) =>
    Object.entries(files).map(([name, file]) => ({ name, code, file }));
  return [
    ...refused("IMAGE_EMPTY", { "no bytes": Buffer.alloc(0) }),
    ...refused("IMAGE_INVALID", { text: Buffer.from("not a picture"), "cut.png": half(png!), "cut.jpg": half(jpeg!) }),
    ...refused("IMAGE_INVALID", { "cut.webp": half(webp!), "cut.gif": half(gif!), "head.png": png!.subarray(0, 20) }),
    ...refused("IMAGE_INVALID", {
      "8191 in few bytes.gif": changed(gif!, (view) => [6, 8].map((at) => view.setUint16(at, 8191, true))),
      "out of its screen.gif": changed(gif!, (view) =>
        [5, 7].map((at) => view.setUint16(pictureOf(gif!) + at, 8191, true)),
      ),
    }),
    ...refused("IMAGE_TOO_LARGE", {
      "30000.png": changed(png!, (view) => [16, 20].map((at) => view.setUint32(at, 30_000))),
      "60000.jpg": changed(jpeg!, (view) => [5, 7].map((at) => view.setUint16(sofOf(jpeg!) + at, 60_000))),
      "60000.gif": changed(gif!, (view) => [6, 8].map((at) => view.setUint16(at, 60_000, true))),
      "far out.gif": changed(gif!, (view) => [1, 3].map((at) => view.setUint16(pictureOf(gif!) + at, 60_000, true))),
      "16383.webp": changed(webp!, (view) => [26, 28].map((at) => view.setUint16(at, 16_383, true))),
    }),
    ...refused("IMAGE_ANIMATED", {
      "moving.gif": await moving().gif().toBuffer(),
      "moving.webp": await moving().webp().toBuffer(),
      "moving.png": withControl(png!),
    }),
    ...refused("IMAGE_CMYK", { "inks.jpg": await scene(3).toColourspace("cmyk").jpeg().toBuffer() }),
  ];
}

function changed(file: Buffer, change: (view: DataView) => unknown): Buffer {
  const copy = Buffer.from(file);
  change(new DataView(copy.buffer, copy.byteOffset, copy.length));
  return copy;
}

/** Where a JPEG's frame header stands. */
const sofOf = (file: Buffer) => file.findIndex((byte, i) => byte === 0xff && [0xc0, 0xc2].includes(file[i + 1]!));

/** Where a GIF's picture begins: its kind, left, top, width and height. */
const pictureOf = (file: Buffer) => file.indexOf(Buffer.of(0x2c, 0, 0, 0, 0));

/** A PNG with an animation control chunk after its header. */
function withControl(file: Buffer): Buffer {
  const control = Buffer.concat([Buffer.of(0, 0, 0, 8), Buffer.from("acTL"), Buffer.alloc(12)]);
  return Buffer.concat([file.subarray(0, 33), control, file.subarray(33)]);
}
