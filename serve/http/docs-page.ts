/** The page at /docs: /openapi.json as people read it, with a try of each call. It loads nothing from elsewhere. */
const HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>subspan: how to ask this server</title>
<link rel="stylesheet" href="/docs/page.css">
<script type="module" src="/docs/page.js"></script>
</head>
<body>
<header><h1>subspan</h1><p id="about"></p><p><a href="/openapi.json">openapi.json</a></p>
<label>Bearer token, where one is needed <input id="token" type="password" autocomplete="off"></label></header>
<main id="calls" aria-live="polite">Loading&hellip;</main>
<noscript>The calls are described in <a href="/openapi.json">openapi.json</a>.</noscript>
</body>
</html>
`;

const CSS = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h2 { border-bottom: 1px solid var(--line); margin-top: 2rem; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; }
summary b { display: inline-block; width: 3.5rem; text-transform: uppercase; }
code, pre, textarea, input { font: 14px/1.4 ui-monospace, monospace; max-width: 100%; box-sizing: border-box; }
code { overflow-wrap: anywhere; }
pre { overflow: auto; max-height: 24rem; background: color-mix(in srgb, currentColor 7%, transparent); padding: .6rem; }
textarea { width: 100%; min-height: 8rem; box-sizing: border-box; }
button { padding: .3rem 1rem; margin: .4rem 0; }
`;

const JS = String.raw`
const doc = await (await fetch("/openapi.json")).json();
const make = (tag, fields = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), fields);
  element.append(...children);
  return element;
};

/** A schema with its references followed. */
const resolved = (schema = {}) =>
  schema.$ref ? resolved(doc.components.schemas[schema.$ref.split("/").at(-1)]) : schema;

/** Something of the form a schema asks for: what is needed, and data of zeros. */
function example(schema, name = "") {
  const { type, example: given, properties = {}, items, minItems = 1, anyOf, enum: values, const: fixed } = resolved(schema);
  if (given !== undefined) return given;
  if (fixed !== undefined) return fixed;
  if (values) return values[0];
  if (anyOf) return example(anyOf.at(-1), name);
  if (type === "object") {
    const skipped = ["parameters", "id"];
    return Object.fromEntries(Object.entries(properties).flatMap(([key, one]) =>
      skipped.includes(key) ? [] : [[key, example(one, key)]]));
  }
  if (type === "array") return Array.from({ length: minItems }, () => example(items));
  if (type === "boolean") return true;
  return type === "string" ? name : 0;
}

const token = document.getElementById("token");
function tryForm(method, path, media) {
  const json = media["application/json"];
  const images = "multipart/form-data" in media;
  const text = json && make("textarea", { value: JSON.stringify(example(json.schema)), ariaLabel: "request" });
  const files = images && make("input", { type: "file", multiple: true, accept: "image/*", ariaLabel: "images" });
  const answer = make("pre", { hidden: true });
  const inputs = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => make("input", { placeholder: name, ariaLabel: name, name }));
  const send = make("button", { type: "submit", textContent: "Send" });
  const form = make("form", {}, ...inputs, ...(files ? [files] : []), ...(text ? [text] : []), send, answer);
  form.onsubmit = async (event) => {
    event.preventDefault();
    const url = inputs.reduce((url, input) => url.replace("{" + input.name + "}", encodeURIComponent(input.value)), path);
    const headers = token.value ? { authorization: "Bearer " + token.value } : {};
    let body;
    if (files && files.files.length > 0) {
      body = new FormData();
      for (const file of files.files) body.append("image", file);
    } else if (text) {
      body = text.value;
      headers["content-type"] = "application/json";
    }
    const began = performance.now();
    const response = await fetch(url, { method: method.toUpperCase(), headers, body });
    const said = await response.text();
    answer.hidden = false;
    answer.textContent = response.status + " in " + (performance.now() - began).toFixed(1) + " ms\n" + pretty(said);
  };
  return form;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 1);
  } catch {
    return text;
  }
}

const shown = (schema) => make("pre", { textContent: JSON.stringify(resolved(schema), null, 1) });
const groups = new Map();
for (const [path, methods] of Object.entries(doc.paths))
  for (const [method, { tags, summary, requestBody, responses }] of Object.entries(methods)) {
    const media = requestBody?.content ?? {};
    const takes = Object.entries(media).flatMap(([type, { schema }]) => [make("h4", { textContent: "Takes " + type }), shown(schema)]);
    const gives = Object.entries(responses[200].content).flatMap(([type, { schema }]) => [make("h4", { textContent: "Answers " + type }), shown(schema)]);
    const head = make("summary", {}, make("b", { textContent: method }), make("code", { textContent: path }), " " + summary);
    const details = make("details", {}, head);
    details.ontoggle = () => {
      if (details.open && details.childElementCount === 1) details.append(tryForm(method, path, media), ...takes, ...gives);
    };
    groups.set(tags[0], [...(groups.get(tags[0]) ?? []), details]);
  }
document.getElementById("about").textContent = doc.info.description + " Version " + doc.info.version + ".";
document.getElementById("calls").replaceChildren(
  ...[...groups].flatMap(([tag, calls]) => [make("h2", { textContent: tag }), ...calls]),
);
`;

/** Files by the path they are asked for by. */
export const DOCS_FILES: Readonly<Record<string, { readonly type: string; readonly text: string }>> = {
  "/docs": { type: "text/html; charset=utf-8", text: HTML },
  "/docs/page.css": { type: "text/css; charset=utf-8", text: CSS },
  "/docs/page.js": { type: "text/javascript; charset=utf-8", text: JS },
};
