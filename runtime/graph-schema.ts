import {
  ATTRIBUTE,
  DIMENSION,
  GRAPH,
  MODEL,
  NODE,
  OPERATOR_SET,
  SHAPE,
  STRING_ENTRY,
  TENSOR,
  TENSOR_TYPE,
  TYPE,
  VALUE_INFO,
} from "./onnx-schema.ts";
import type { Kind, MessageSpec } from "./protobuf.ts";

type Kinds<S> = { readonly [name in keyof S]?: Kind };

/** The fields a message may hold, at most `one` or `many` times, by the names of its schema. */
function spec<S extends Readonly<Record<string, number>>>(
  name: string,
  fields: S,
  one: Kinds<S>,
  many: Kinds<S> = {},
): MessageSpec {
  const numbered = (kinds: Kinds<S>) =>
    Object.fromEntries(Object.entries(kinds).map(([field, kind]) => [fields[field], kind]));
  return { name, fields, one: numbered(one), many: numbered(many) };
}

/**
 * What the messages of an ONNX model may hold here: data and one flat graph, nothing that runs, nests or points
 * elsewhere.
 */
export const SPEC = {
  model: spec(
    "ModelProto",
    MODEL,
    {
      irVersion: "varint",
      producerName: "bytes",
      producerVersion: "bytes",
      domain: "bytes",
      modelVersion: "varint",
      docString: "bytes",
      graph: "bytes",
    },
    { opsetImport: "bytes", metadataProps: "bytes" },
  ),
  operatorSet: spec("OperatorSetIdProto", OPERATOR_SET, { domain: "bytes", version: "varint" }),
  stringEntry: spec("StringStringEntryProto", STRING_ENTRY, { key: "bytes", value: "bytes" }),
  graph: spec(
    "GraphProto",
    GRAPH,
    { name: "bytes", docString: "bytes" },
    {
      node: "bytes",
      initializer: "bytes",
      input: "bytes",
      output: "bytes",
      valueInfo: "bytes",
      metadataProps: "bytes",
    },
  ),
  node: spec(
    "NodeProto",
    NODE,
    { name: "bytes", opType: "bytes", docString: "bytes", domain: "bytes" },
    { input: "bytes", output: "bytes", attribute: "bytes", metadataProps: "bytes" },
  ),
  attribute: spec(
    "AttributeProto",
    ATTRIBUTE,
    { name: "bytes", f: "fixed32", i: "varint", s: "bytes", t: "bytes", docString: "bytes", type: "varint" },
    { floats: "fixed32", ints: "varint", strings: "bytes" },
  ),
  tensor: spec(
    "TensorProto",
    TENSOR,
    { dataType: "varint", name: "bytes", rawData: "bytes", docString: "bytes", dataLocation: "varint" },
    { dims: "varint", floatData: "fixed32", int32Data: "varint", int64Data: "varint", doubleData: "fixed64" },
  ),
  valueInfo: spec(
    "ValueInfoProto",
    VALUE_INFO,
    { name: "bytes", type: "bytes", docString: "bytes" },
    { metadataProps: "bytes" },
  ),
  type: spec("TypeProto", TYPE, { tensorType: "bytes", denotation: "bytes" }),
  tensorType: spec("TypeProto.Tensor", TENSOR_TYPE, { elemType: "varint", shape: "bytes" }),
  shape: spec("TensorShapeProto", SHAPE, {}, { dim: "bytes" }),
  dimension: spec("TensorShapeProto.Dimension", DIMENSION, { value: "varint", param: "bytes", denotation: "bytes" }),
};

/**
 * The operators a graph may use: opset 17's mathematics on tensors. No control flow, sequences, strings or random
 * draws.
 */
export const ALLOWED_OPERATORS: ReadonlySet<string> = new Set(
  `Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization BitShift Cast CastLike Ceil
  Celu Clip Compress Concat Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumSum DepthToSpace
  DequantizeLinear Det Div DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor Gather
  GatherElements GatherND Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual HardSigmoid HardSwish
  Hardmax Identity InstanceNormalization IsInf IsNaN LRN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax
  LpNormalization LpPool MatMul MatMulInteger Max MaxPool Mean MeanVarianceNormalization Min Mod Mul Neg
  NonMaxSuppression NonZero Not OneHot Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear Range Reciprocal
  ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare
  Relu Reshape Resize ReverseSequence Round ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice
  Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu
  Unsqueeze Where Xor`.split(/\s+/),
);
