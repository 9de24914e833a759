// Writes ONNX's protobuf messages (onnx.proto3): just the fields that the lowering needs.
import type { Dim } from "../graph.ts";
import type { OnnxBodyValue, OnnxDType } from "./context.ts";

/** TensorProto.DataType */
export const elementType: Record<OnnxDType, number> = {
  f32: 1,
  u8: 2,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  u32: 12,
};

type Bytes = Uint8Array<ArrayBuffer>;
const text = new TextEncoder();

function varint(value: number | bigint): Bytes {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  do {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Uint8Array.from(bytes);
}

function join(parts: Bytes[]): Bytes {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const integer = (field: number, value: number): Bytes => join([varint(field << 3), varint(value)]);
const message = (field: number, body: Bytes): Bytes =>
  join([varint(field << 3 | 2), varint(body.length), body]);
const string = (field: number, value: string): Bytes => message(field, text.encode(value));
const float = (field: number, value: number): Bytes =>
  join([varint(field << 3 | 5), new Uint8Array(new Float32Array([value]).buffer)]);

export type ProtoAttribute = number | { float: number } | { ints: readonly number[] } | string | {
  graph: Bytes;
};

function attribute(name: string, value: ProtoAttribute): Bytes {
  const typed = (type: number, payload: Bytes[]) => join([string(1, name), ...payload, integer(20, type)]);
  if (typeof value === "number") return typed(2, [integer(3, value)]);
  if (typeof value === "string") return typed(3, [string(4, value)]);
  if ("float" in value) return typed(1, [float(2, value.float)]);
  if ("graph" in value) return typed(5, [message(6, value.graph)]);
  return typed(7, value.ints.map((x) => integer(8, x)));
}

/** NodeProto */
export function nodeProto(
  node: {
    type: string;
    inputs: readonly string[];
    outputs: readonly string[];
    attributes: Record<string, ProtoAttribute>;
  },
): Bytes {
  const [domain, type] = node.type.startsWith("ms.")
    ? ["com.microsoft", node.type.slice(3)]
    : ["", node.type];
  return join([
    ...node.inputs.map((name) => string(1, name)),
    ...node.outputs.map((name) => string(2, name)),
    string(4, type),
    ...Object.entries(node.attributes).map(([name, value]) => message(5, attribute(name, value))),
    string(7, domain),
  ]);
}

/** TensorProto with raw data. */
export function tensorProto(
  name: string,
  dtype: OnnxDType,
  shape: readonly number[],
  data: Uint8Array,
): Bytes {
  return join([
    ...shape.map((size) => integer(1, size)),
    integer(2, elementType[dtype]),
    string(8, name),
    message(9, data.slice()),
  ]);
}

/** TensorProto whose data lies in an external file: by default in one of its own name, from its beginning. */
export function externalTensorProto(
  name: string,
  dtype: OnnxDType,
  shape: readonly number[],
  bytes: number,
  place: { location: string; offset: number } = { location: name, offset: 0 },
): Bytes {
  const entry = (key: string, value: string) => message(13, join([string(1, key), string(2, value)]));
  return join([
    ...shape.map((size) => integer(1, size)),
    integer(2, elementType[dtype]),
    string(8, name),
    entry("location", place.location),
    entry("offset", String(place.offset)),
    entry("length", String(bytes)),
    integer(14, 1),
  ]);
}

/** ValueInfoProto; without a shape only the element type is stated. */
export function valueProto({ name, dtype, shape, sequence }: OnnxBodyValue): Bytes {
  const dimension = (size: Dim | undefined) =>
    message(
      1,
      typeof size === "number"
        ? integer(1, size)
        : typeof size === "string"
        ? string(2, size)
        : new Uint8Array(),
    );
  const tensor = [integer(1, elementType[dtype])];
  if (shape) tensor.push(message(2, join(shape.map(dimension))));
  const type = message(1, join(tensor));
  return join([string(1, name), message(2, sequence ? message(4, message(1, type)) : type)]);
}

/** GraphProto */
export function graphProto(
  graph: {
    name: string;
    nodes: Bytes[];
    initializers: Bytes[];
    inputs: OnnxBodyValue[];
    outputs: OnnxBodyValue[];
  },
): Bytes {
  return join([
    ...graph.nodes.map((node) => message(1, node)),
    string(2, graph.name),
    ...graph.initializers.map((tensor) => message(5, tensor)),
    ...graph.inputs.map((value) => message(11, valueProto(value))),
    ...graph.outputs.map((value) => message(12, valueProto(value))),
  ]);
}

/** A ModelProto's fields beside the graph: ONNX opset 21 and Microsoft's own operators. */
export function modelFields(): Bytes {
  const opset = (domain: string, version: number) =>
    message(8, join([string(1, domain), integer(2, version)]));
  return join([integer(1, 10), string(2, "fintune"), opset("", 21), opset("com.microsoft", 1)]);
}

/** ModelProto */
export const modelProto = (graph: Bytes): Bytes => join([modelFields(), message(7, graph)]);
