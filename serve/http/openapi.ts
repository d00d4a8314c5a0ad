/** The server described in OpenAPI 3.1: what every server has, and each model's calls with its own tensors. */
import { OpenAPIHono, type RouteConfig, z } from "@hono/zod-openapi";
import type { GraphManifest, ManifestInput } from "../../runtime/node.ts";
import { DATATYPE } from "../protocol/datatypes.ts";
import type { ServedVersion } from "../repository/repository.ts";

type Schema = z.ZodType;
type Method = "get" | "post";

/** What a path is for, beside what it takes and gives. */
interface Path {
  readonly method: Method;
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly request?: RouteConfig["request"];
  readonly answer?: Schema;
  readonly admin?: boolean;
  /** Anybody may ask. */
  readonly open?: boolean;
}

const PROBLEM = z.object({ error: z.string() }).openapi("Error");
const TENSOR = z
  .object({ name: z.string(), datatype: z.string(), shape: z.array(z.int()) })
  .openapi("TensorMetadata", { description: "-1 in a shape is the batch" });
const METADATA = z
  .object({
    name: z.string(),
    versions: z.array(z.string()),
    platform: z.literal("onnx_onnxv1"),
    inputs: z.array(TENSOR),
    outputs: z.array(TENSOR),
  })
  .openapi("ModelMetadata");
const RESULT = z
  .object({
    file: z.string().optional(),
    label: z.int().optional(),
    name: z.string().optional(),
    confidence: z.number().optional().openapi({ description: "0..1: calibrated probability of the label" }),
    novelty: z.number().optional().openapi({ description: "0..1: near 1 is unlike anything seen in training" }),
    error: z.string().optional(),
  })
  .openapi("AssignResult", { description: "A sample's cluster, or what was wrong with its file" });
const ASSIGNED = z
  .object({ model_name: z.string(), model_version: z.string(), results: z.array(RESULT) })
  .openapi("Assigned");
const INDEX = z.array(
  z.object({ name: z.string(), version: z.string(), state: z.enum(["READY", "UNAVAILABLE"]), reason: z.string() }),
);
const BINARY = z.string().openapi({ format: "binary" });
const NONE = z.object({});

const json = (schema: Schema) => ({ content: { "application/json": { schema } } });

const SERVER: readonly Path[] = [
  {
    method: "get",
    path: "/v2/health/live",
    tag: "server",
    summary: "Whether it runs",
    answer: z.object({ live: z.boolean() }),
    open: true,
  },
  {
    method: "get",
    path: "/v2/health/ready",
    tag: "server",
    summary: "Whether it takes work: not before every model has run, nor while it closes",
    answer: z.object({ ready: z.boolean() }),
    open: true,
  },
  {
    method: "get",
    path: "/v2",
    tag: "server",
    summary: "What it is",
    answer: z.object({ name: z.string(), version: z.string(), extensions: z.array(z.string()) }),
  },
  { method: "get", path: "/metrics", tag: "server", summary: "Numbers for Prometheus" },
  { method: "get", path: "/bundles", tag: "server", summary: "Bundles for browsers to run themselves", answer: NONE },
  {
    method: "post",
    path: "/v2/repository/index",
    tag: "repository",
    summary: "All models and versions, and why one is not served",
    request: { body: json(z.object({ ready: z.boolean().optional() })) },
    answer: INDEX,
    admin: true,
  },
  ...(["load", "unload"] as const).map(
    (what): Path => ({
      method: "post",
      path: `/v2/repository/models/{model}/${what}`,
      tag: "repository",
      summary: what === "load" ? "Load what is new or changed of a model" : "Serve a model no more",
      request: { params: z.object({ model: z.string() }) },
      answer: NONE,
      admin: true,
    }),
  ),
];

/** The document. Paths leave the version out; each is there with `/versions/{version}` and `/labels/{label}` too. */
export function openApi(version: string, versions: readonly ServedVersion[]) {
  const described = new OpenAPIHono();
  const registry = described.openAPIRegistry;
  registry.registerComponent("securitySchemes", "bearer", { type: "http", scheme: "bearer" });
  const models = new Map(versions.map(({ name, bundle }) => [name, bundle.manifest]));
  for (const path of [...SERVER, ...[...models].flatMap(([name, manifest]) => modelPaths(name, manifest))])
    registry.registerPath(route(path));
  return described.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "subspan",
      version,
      description:
        "Assigns samples to clusters, by the Open Inference Protocol v2 and by calls for people. A model's paths are " +
        "there with /versions/{version} and /labels/{label} after its name too.",
    },
  });
}

function route({ method, path, tag, summary, request, answer, admin, open }: Path): RouteConfig {
  const good =
    answer === undefined
      ? { description: "done", content: { "text/plain": { schema: z.string() } } }
      : { description: "done", ...json(answer) };
  const bad = { description: "what was expected, and what came", ...json(PROBLEM) };
  return {
    method,
    path,
    tags: [tag],
    summary: admin ? `${summary} (admin)` : summary,
    ...(request === undefined ? {} : { request }),
    ...(open ? {} : { security: [{}, { bearer: [] }] }),
    responses: { 200: good, default: bad },
  };
}

function modelPaths(name: string, manifest: GraphManifest): readonly Path[] {
  const at = `/v2/models/${name}`;
  const get = (path: string, summary: string, answer: Schema): Path => ({
    method: "get",
    path: at + path,
    tag: name,
    summary,
    answer,
  });
  return [
    get("", "What it takes and gives", METADATA),
    { ...get("/ready", "Whether it is ready", z.object({ name: z.string(), ready: z.boolean() })), open: true },
    get("/config", "How it is run, as Triton's ModelConfig", NONE),
    get("/stats", "How often it ran and how long it took", NONE),
    {
      method: "post",
      path: `${at}/assign`,
      tag: name,
      summary: "Assign image files or rows of numbers, for people",
      request: { body: assignBody(manifest.input) },
      answer: ASSIGNED,
    },
    {
      method: "post",
      path: `${at}/infer`,
      tag: name,
      summary: "Assign a tensor of samples, for programs",
      request: inferBody(manifest),
      answer: inferAnswer(manifest),
    },
  ];
}

/** A list of so many items. */
const listOf = (item: Schema, items: number) => z.array(item).openapi({ minItems: items, maxItems: items });

/** A number of a sample. */
function element({ dtype }: Pick<ManifestInput, "dtype">): Schema {
  return dtype === "uint8" ? z.int().min(0).max(255) : z.number();
}

/** One sample, nested as its shape says. */
function sample(input: ManifestInput): Schema {
  return input.shape.slice(1).reduceRight<Schema>((item, dim) => listOf(item, Number(dim)), element(input));
}

function assignBody(input: ManifestInput) {
  const rows = json(z.object({ rows: z.array(sample(input)) }));
  if (input.kind !== "images") return rows;
  const files = {
    "multipart/form-data": { schema: z.object({ image: z.array(BINARY) }) },
    "image/*": { schema: BINARY },
  };
  return { content: { ...files, ...rows.content } };
}

const shapeOf = (shape: ManifestInput["shape"]) =>
  listOf(z.int().min(0), shape.length).openapi({ example: shape.map((dim) => (typeof dim === "number" ? dim : 1)) });

function inferBody({ input, outputs }: GraphManifest): NonNullable<RouteConfig["request"]> {
  const names = outputs.map(({ name }) => name) as [string, ...string[]];
  const binary = "bytes of the tensor, which follow the JSON; then data is left out";
  const tensor = z.object({
    name: z.literal(input.name),
    datatype: z.literal(DATATYPE[input.dtype]),
    shape: shapeOf(input.shape),
    data: z
      .array(z.union([element(input), sample(input)]))
      .optional()
      .openapi({ description: "flat, row-major, or nested as the shape says" }),
    parameters: z.object({ binary_data_size: z.int().optional().openapi({ description: binary }) }).optional(),
  });
  const output = z.object({
    name: z.enum(names),
    parameters: z.object({ binary_data: z.boolean().optional() }).optional(),
  });
  const request = z.object({
    id: z.string().optional(),
    inputs: listOf(tensor, 1),
    outputs: z.array(output).optional().openapi({ description: "all unless said; the others are not computed" }),
    parameters: z.object({ binary_data_output: z.boolean().optional() }).optional(),
  });
  const length = z.int().optional().openapi({ description: "bytes of the JSON, where binary tensors follow it" });
  return {
    headers: z.object({ "inference-header-content-length": length }),
    body: { content: { ...json(request).content, "application/octet-stream": { schema: BINARY } } },
  };
}

function inferAnswer({ outputs }: GraphManifest): Schema {
  const tensors = outputs.map(({ name, dtype, shape }) =>
    z.object({
      name: z.literal(name),
      datatype: z.literal(DATATYPE[dtype]),
      shape: shapeOf(shape),
      data: z.array(dtype === "int64" ? z.int() : z.number().nullable()).optional(),
      parameters: z.object({ binary_data_size: z.int() }).optional(),
    }),
  );
  return z.object({
    model_name: z.string(),
    model_version: z.string(),
    id: z.string().optional(),
    outputs: z.array(z.union(tensors)),
  });
}
