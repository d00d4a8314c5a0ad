import type { Page } from "playwright-core";
import type { ImageFile } from "./digits-bundle.ts";

/** Of the drawing area, 0..1 from its left and its top. */
export type Point = readonly [x: number, y: number];

/** Draws one line on an empty sheet with the mouse. */
export async function draw(page: Page, stroke: readonly Point[]): Promise<void> {
  await page.getByRole("button", { name: "Clear" }).first().click();
  await page.locator("#drawing").scrollIntoViewIfNeeded();
  const { x, y, width, height } = (await page.locator("#drawing").boundingBox())!;
  const at = ([px, py]: Point) => [x + px * width, y + py * height] as const;
  await page.mouse.move(...at(stroke[0]!));
  await page.mouse.down();
  for (const point of stroke.slice(1)) await page.mouse.move(...at(point), { steps: 2 });
  await page.mouse.up();
}

/** Drops files on the page, as from a file manager. */
export async function drop(page: Page, files: readonly ImageFile[]): Promise<void> {
  const contents = files.map(({ name, mimeType, buffer }) => ({ name, mimeType, base64: buffer.toString("base64") }));
  await page.evaluate((dropped) => {
    const dataTransfer = new DataTransfer();
    for (const { name, mimeType, base64 } of dropped) {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      dataTransfer.items.add(new File([bytes], name, { type: mimeType }));
    }
    for (const type of ["dragenter", "dragover", "drop"])
      document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
  }, contents);
}
