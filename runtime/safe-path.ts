/**
 * Whether a path can only name a file inside a bundle, on every file system: a/b.c, no "..", "\", ":" or leading ".".
 */
export function isSafePath(path: string): boolean {
  return path.length <= 255 && path.split("/").every((part) => /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(part));
}
