/** The element of a type with an id that index.html has. */
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new Error(`index.html has no ${type.name} #${id}`);
}

type Child = Node | string;
type Properties<K extends keyof HTMLElementTagNameMap> = Partial<
  Omit<HTMLElementTagNameMap[K], "style" | "dataset">
> & { readonly data?: Readonly<Record<string, string>>; readonly aria?: Readonly<Record<string, string>> };

/** A new element; text among its children stays text, whatever is in it. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  { data = {}, aria = {}, ...properties }: Properties<K> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  Object.assign(element, properties);
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(`aria-${name}`, value);
  element.append(...children);
  return element;
}

/** Says something to people who listen to the page, once they are done listening to what they hear. */
export function announce(text: string): void {
  byId("announcer", HTMLElement).textContent = text;
}

/** Offers bytes as a download. */
export function download(name: string, bytes: BlobPart, type: string): void {
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** A canvas's 2-D context, at the pixels of the screen; coordinates are CSS pixels. */
export function contextOf(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const { width, height } = canvas.getBoundingClientRect();
  const scale = globalThis.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d")!;
  context.scale(scale, scale);
  return context;
}

/** Runs `task` on the newest value alone: values that come while it runs are dropped but the last. */
export function newest<T>(task: (value: T) => Promise<void>): (value: T) => Promise<void> {
  const waiting: T[] = [];
  let running = false;
  return async (value) => {
    waiting.splice(0, 1, value);
    if (running) return;
    running = true;
    try {
      for (const next of taken(waiting)) await task(next);
    } finally {
      running = false;
    }
  };
}

/** A list's items, each taken out as it is asked for, those included that come meanwhile. */
function* taken<T>(list: T[]): Generator<T> {
  while (list.length > 0) yield list.shift() as T;
}

/** A part of a whole as people read it: 0.934 is "93.4 %", and what is not all is never "100 %". */
export function percent(share: number): string {
  return share === 1 ? "100 %" : `${Math.min(share * 100, 99.9).toFixed(1)} %`;
}

export const count = (n: number): string => n.toLocaleString("en");
export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;

export function byteSize(bytes: number): string {
  if (bytes < 1e6) return `${Math.max(1, Math.round(bytes / 1e3))} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
