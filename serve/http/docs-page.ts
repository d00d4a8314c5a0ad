export const DOCS_FILES: Readonly<Record<string, { readonly type: string; readonly text: string }>> = {};
