export type { Attribute, GraphNode, GraphPort, Initializer } from "./graph.ts";
export { encodeModel, type Model } from "./proto.ts";
export { type PortType, type Signature, type Tensors, type TraceFunction, trace } from "./trace.ts";
