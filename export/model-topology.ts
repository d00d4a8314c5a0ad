import { serialization } from "@tensorflow/tfjs-core";
import { z } from "zod";
import { SubspanError } from "../runtime/errors.ts";

const invalid = (wrong: string) => new SubspanError("MODEL_INVALID", wrong);

/** A node of a GraphDef; an input is "node", "node:output" or, only for the order of things, "^node". */
interface TopologyNode {
  readonly name: string;
  readonly input?: readonly string[] | undefined;
}

/** tfjs stumbles over nodes that are there twice or not at all; this names them. @throws {SubspanError} MODEL_INVALID. */
export function checkGraphTopology(nodes: readonly TopologyNode[]): void {
  const names = new Set<string>();
  for (const { name } of nodes) {
    if (name === "__proto__") throw invalid("a node is named __proto__, which no table by name can hold");
    if (names.has(name)) throw invalid(`two nodes are named ${name}`);
    names.add(name);
  }
  for (const { name, input } of nodes) {
    const gone = input?.find((from) => !names.has(from.replace(/^\^/, "").split(":")[0] as string));
    if (gone !== undefined) throw invalid(`node ${name} takes ${gone}, which is not in the graph`);
  }
}

/** tfjs-layers makes an array of as many items as there are time steps when it builds a recurrent layer. */
const MOST_SIZE = 2 ** 24;

const LAYER = z.looseObject({
  class_name: z.string(),
  name: z.string().optional(),
  config: z.looseObject({
    name: z.string().optional(),
    batch_input_shape: z.array(z.number().int().nonnegative().max(MOST_SIZE).nullable()).nullish(),
  }),
  inbound_nodes: z.array(z.array(z.tuple([z.string(), z.number()]).rest(z.unknown()))).optional(),
});
const CONTAINER = z.looseObject({ layers: z.array(LAYER) });

type Layer = z.infer<typeof LAYER>;

/** Classes that hold layers, and are called as layers themselves. */
const CONTAINERS = new Set(["Model", "Functional", "Sequential"]);

/**
 * Names the layers that tfjs does not know, and those that wait for each other: tfjs would wait for ever.
 *
 * @param model - what Keras writes of a model: its class and configuration.
 * @throws {SubspanError} MODEL_INVALID.
 */
export function checkLayersTopology({ class_name: kind, config }: { class_name: string; config: unknown }): void {
  if (!CONTAINERS.has(kind)) throw unknownClass("the model", kind);
  // Older files have a Sequential's layers as a plain list.
  const { layers } = parsed(CONTAINER, Array.isArray(config) ? { layers: config } : config);
  for (const layer of layers) checkLayer(layer);
  if (kind !== "Sequential") refuseWaiting(layers);
}

function checkLayer({ class_name: kind, name, config }: Layer): void {
  const known = serialization.SerializationMap.getMap().classNameMap;
  if (CONTAINERS.has(kind)) checkLayersTopology({ class_name: kind, config });
  else if (!Object.hasOwn(known, kind)) throw unknownClass(`layer ${name ?? config.name}`, kind);
  // Bidirectional and TimeDistributed hold another layer.
  if (config.layer !== undefined) checkLayer(parsed(LAYER, config.layer));
}

const unknownClass = (what: string, kind: string) =>
  invalid(
    `${what} is of class ${kind}, which tfjs does not know; register your own with tf.serialization.registerClass ` +
      "and call convertModel",
  );

/**
 * Calls every layer as tfjs will, in as many rounds as it takes, but only in numbers: a call is possible once those whose
 * outputs it takes were made.
 */
function refuseWaiting(layers: readonly Layer[]): void {
  // tfjs goes by both names, and would wait for ever where they differ.
  const nameOf = ({ name, config }: Layer) => {
    if (name !== undefined && name === config.name) return name;
    throw invalid(`a layer is named ${name} in the model and ${config.name} in its own configuration`);
  };
  const names = layers.map(nameOf);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw invalid(`two layers are named ${twice}`);
  // An input, and a model that was built before, count as called once.
  const starts = ({ class_name: kind }: Layer) => (kind === "InputLayer" || CONTAINERS.has(kind) ? 1 : 0);
  const calls = new Map(layers.map((layer) => [nameOf(layer), starts(layer)]));
  // A call that takes nothing is none.
  let waiting = layers.flatMap((layer) =>
    (layer.inbound_nodes ?? []).flatMap((from) => (from.length > 0 ? [{ layer: nameOf(layer), from }] : [])),
  );
  const missing = (from: (typeof waiting)[number]["from"]) =>
    from.find(([name, call]) => (calls.get(name) ?? 0) <= call);
  while (waiting.length > 0) {
    const left = waiting.filter(({ layer, from }) => {
      if (missing(from) !== undefined) return true;
      calls.set(layer, (calls.get(layer) ?? 0) + 1);
      return false;
    });
    if (left.length === waiting.length) {
      const chains = left.map(({ layer, from }) => `${layer} waits for ${missing(from)?.[0]}`);
      throw invalid(`its layers cannot be called in any order: ${chains.slice(0, 8).join(", ")}`);
    }
    waiting = left;
  }
}

function parsed<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0] as z.core.$ZodIssue;
  throw invalid(`modelTopology: ${path.join(".")}: ${message}`);
}
