import { GRAPH_LIMITS, type ListedBundle, listBundle, SubspanError } from "../runtime/web.ts";
import type { Sample } from "./assigning.ts";
import { byId } from "./dom.ts";

/** A file and where it was in what a person chose: "photos/a.png". */
export interface FoundFile {
  readonly path: string;
  readonly file: File;
}

/** What a person chose in a dialog. */
export function chosenFiles(list: FileList): FoundFile[] {
  return inOrder(Array.from(list, (file) => ({ path: file.webkitRelativePath || file.name, file })));
}

/** Hands over what is chosen; the same may be chosen again. */
export function onFiles(id: string, take: (files: FoundFile[]) => void, signal?: AbortSignal): void {
  const input = byId(id, HTMLInputElement);
  const chosen = () => {
    const files = chosenFiles(input.files!);
    input.value = "";
    take(files);
  };
  input.addEventListener("change", chosen, signal === undefined ? {} : { signal });
}

/** What was dropped, folders with all that is in them. Call it in the event itself: browsers forget the items after. */
export async function droppedFiles(data: DataTransfer): Promise<FoundFile[]> {
  const entries = Array.from(data.items, (item) => item.webkitGetAsEntry?.() ?? null);
  const plain = Array.from(data.files, (file) => ({ path: file.name, file }));
  if (!entries.some((entry) => entry?.isDirectory)) return inOrder(plain);
  return inOrder((await Promise.all(entries.map((entry) => (entry === null ? [] : walk(entry))))).flat());
}

/** Image files of a name each; their pictures are the runtime's to judge. */
export const imageSamples = (files: readonly FoundFile[]): Sample[] =>
  files.map(({ path, file }) => ({ name: path, given: file }));

async function walk(entry: FileSystemEntry): Promise<FoundFile[]> {
  const path = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ path, file }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: FoundFile[][] = [];
  for (;;) {
    // A reader gives some hundred entries at a time, and none once there are no more.
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) return found.flat();
    for (const child of part) found.push(await walk(child));
  }
}

/** Without what systems hide in folders (.DS_Store and the like), a2 before a10. */
function inOrder(files: readonly FoundFile[]): FoundFile[] {
  const order = new Intl.Collator("en", { numeric: true });
  const visible = files.filter(({ path }) => !path.split("/").some((part) => part.startsWith(".")));
  return visible.sort((a, b) => order.compare(a.path, b.path));
}

/** The bundle among files: one `.subspan` or `.onnx`, or a folder with a manifest.json. */
export function bundleAmong(files: readonly FoundFile[]): (() => Promise<File | ListedBundle>) | undefined {
  const archive = files.find(({ path }) => /\.(subspan|onnx)$/i.test(path));
  const manifest = files.find(({ path }) => /(^|\/)manifest\.json$/.test(path));
  if (manifest !== undefined) return () => folderBundle(manifest.path.replace(/manifest\.json$/, ""), files);
  return archive === undefined ? undefined : async () => archive.file;
}

function folderBundle(folder: string, files: readonly FoundFile[]): Promise<ListedBundle> {
  const origin = folder.replace(/\/$/, "") || "the chosen files";
  const read = async (path: string, maxBytes: number) => {
    const found = files.find((file) => file.path === folder + path)?.file;
    if (found === undefined) throw new SubspanError("BUNDLE_MISSING", `${origin}: has no ${path}`);
    if (found.size > Math.min(maxBytes, GRAPH_LIMITS.modelBytes))
      throw new SubspanError("BUNDLE_INVALID", `${origin}: ${path}: longer than ${maxBytes} bytes`);
    return new Uint8Array(await found.arrayBuffer());
  };
  return listBundle({ origin, read });
}
