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

/** Fields by the names of their schema, of a kind each: "bytes" unless it says otherwise, as in "dims:varint". */
function spec(name: string, fields: Readonly<Record<string, number>>, one: string, many = ""): MessageSpec {
  const kinds = (list: string): Record<number, Kind> => {
    const entries = list.split(" ").map((field) => field.split(":") as [string, Kind?]);
    return list ? Object.fromEntries(entries.map(([name, kind = "bytes"]) => [fields[name], kind])) : {};
  };
  return { name, fields, one: kinds(one), many: kinds(many) };
}

/**
 * What the messages of an ONNX model may hold here, at most once and many times: data and one flat graph, nothing that
 * runs, nests or points elsewhere.
 */
export const SPEC = {
  model: spec(
    "ModelProto",
    MODEL,
    "irVersion:varint producerName producerVersion domain modelVersion:varint docString graph",
    "opsetImport metadataProps",
  ),
  operatorSet: spec("OperatorSetIdProto", OPERATOR_SET, "domain version:varint"),
  stringEntry: spec("StringStringEntryProto", STRING_ENTRY, "key value"),
  graph: spec("GraphProto", GRAPH, "name docString", "node initializer input output valueInfo metadataProps"),
  node: spec("NodeProto", NODE, "name opType docString domain", "input output attribute metadataProps"),
  attribute: spec(
    "AttributeProto",
    ATTRIBUTE,
    "name f:fixed32 i:varint s t docString type:varint",
    "floats:fixed32 ints:varint strings",
  ),
  tensor: spec(
    "TensorProto",
    TENSOR,
    "dataType:varint name rawData docString dataLocation:varint",
    "dims:varint floatData:fixed32 int32Data:varint int64Data:varint doubleData:fixed64",
  ),
  valueInfo: spec("ValueInfoProto", VALUE_INFO, "name type docString", "metadataProps"),
  type: spec("TypeProto", TYPE, "tensorType denotation"),
  tensorType: spec("TypeProto.Tensor", TENSOR_TYPE, "elemType:varint shape"),
  shape: spec("TensorShapeProto", SHAPE, "", "dim"),
  dimension: spec("TensorShapeProto.Dimension", DIMENSION, "value:varint param denotation"),
};

/**
 * The operators a graph may use: opset 17's mathematics on tensors. No control flow, sequences, strings or random
 * draws.
 */
export const ALLOWED_OPERATORS: ReadonlySet<string> = new Set(
  (
    "Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization BitShift Cast " +
    "CastLike Ceil Celu Clip Compress Concat Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh " +
    "CumSum DepthToSpace DequantizeLinear Det Div DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike " +
    "Flatten Floor Gather GatherElements GatherND Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater " +
    "GreaterOrEqual HardSigmoid HardSwish Hardmax Identity InstanceNormalization IsInf IsNaN LRN " +
    "LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization LpPool MatMul MatMulInteger " +
    "Max MaxPool Mean MeanVarianceNormalization Min Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or PRelu " +
    "Pad Pow QLinearConv QLinearMatMul QuantizeLinear Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum " +
    "ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize " +
    "ReverseSequence Round ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax " +
    "Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose " +
    "Trilu Unsqueeze Where Xor"
  ).split(" "),
);
