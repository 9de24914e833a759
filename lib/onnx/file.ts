// ONNX files, written piece by piece: the weights are read and written one at a time. What does not fit into the 2 GB of a
// protobuf message lies beside the model, in files that it names.
import { basename } from "@std/path";
import { bytesPerElement, elementCount } from "../engine/dtype.ts";
import type { OnnxBodyValue } from "../engine/onnx/context.ts";
import type { OnnxDraft } from "../engine/onnx/lower.ts";
import { elementType, externalTensorProto, modelFields, valueProto } from "../engine/onnx/proto.ts";
import {
  type Bytes,
  integerField,
  joinBytes,
  messageField,
  messageHeader,
  stringField,
} from "../formats/protobuf.ts";
import type { FileWeights, Initializer } from "./weights.ts";

/** One model of what becomes the files. */
export interface FileModel {
  readonly draft: OnnxDraft;
  readonly weights: FileWeights;
  readonly inputs: readonly OnnxBodyValue[];
  readonly outputs: readonly OnnxBodyValue[];
}

/** A file's name and what it holds, in pieces. */
export interface FilePart {
  readonly path: string;
  readonly pieces: () => AsyncIterable<Uint8Array>;
}

const sizeOfTensor = ({ dtype, shape }: Initializer) => elementCount(shape) * bytesPerElement[dtype];

/** Data of its own begins on a page, so that it can be mapped. */
const PAGE = 4096;

/** What is smaller stays in the model: it would take a page. */
const SMALL = 1024;

const FIELD = { node: 1, name: 2, initializer: 5, input: 11, output: 12, graph: 7 };

/**
 * The files of a model at `path`: first the data files (none where all of it is smaller than `limit` bytes), each as large as
 * `limit` allows, then the model.
 */
export function fileParts(model: FileModel, path: string, limit: number): FilePart[] {
  const tensors = model.weights.initializers(model.draft.shared.read);
  const total = tensors.reduce((sum, tensor) => sum + sizeOfTensor(tensor), 0);
  const placed = total + size(model.draft.nodes) < limit ? new Map() : place(tensors, path, limit);
  const files = Map.groupBy(placed.entries(), ([, { location }]) => location);
  const data = [...files].map(([location, entries]) => ({
    path: `${path}${location.slice(basename(path).length)}`,
    pieces: () => dataPieces(entries),
  }));
  return [...data, { path, pieces: () => modelPieces(model, tensors, placed) }];
}

const size = (parts: readonly Uint8Array[]) => parts.reduce((sum, part) => sum + part.length, 0);

interface Place {
  readonly location: string;
  readonly offset: number;
}
type Placed = ReadonlyMap<Initializer, Place>;

/** model.onnx_data, then model.onnx_data_1, ...: a tensor lies in one of them. */
function place(tensors: readonly Initializer[], path: string, limit: number): Placed {
  const placed = new Map<Initializer, Place>();
  let file = 0, end = 0;
  for (const tensor of tensors) {
    const bytes = sizeOfTensor(tensor);
    if (bytes < SMALL) continue;
    let offset = Math.ceil(end / PAGE) * PAGE;
    if (offset > 0 && offset + bytes > limit) {
      file++;
      offset = 0;
    }
    end = offset + bytes;
    placed.set(tensor, { location: `${basename(path)}_data${file ? `_${file}` : ""}`, offset });
  }
  return placed;
}

async function* dataPieces(entries: readonly [Initializer, Place][]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const [tensor, { offset }] of entries) {
    if (offset > at) yield new Uint8Array(offset - at);
    yield await contentOf(tensor);
    at = offset + sizeOfTensor(tensor);
  }
}

async function contentOf(tensor: Initializer): Promise<Uint8Array> {
  const bytes = await tensor.data();
  if (bytes.length === sizeOfTensor(tensor)) return bytes;
  throw new Error(`${tensor.name} has ${bytes.length} bytes, not ${sizeOfTensor(tensor)}.`);
}

/** A TensorProto up to its data, which are its last field. */
function tensorHead(tensor: Initializer): Bytes {
  return joinBytes(
    ...tensor.shape.map((size) => integerField(1, size)),
    integerField(2, elementType[tensor.dtype]),
    stringField(8, tensor.name),
    messageHeader(9, sizeOfTensor(tensor)),
  );
}

async function* modelPieces(
  { draft, inputs, outputs }: FileModel,
  tensors: readonly Initializer[],
  placed: Placed,
): AsyncGenerator<Uint8Array> {
  const head = joinBytes(
    ...draft.nodes.map((node) => messageField(FIELD.node, node)),
    stringField(FIELD.name, "fintune"),
    ...[...draft.shared.initializers.values()].map(({ bytes }) => messageField(FIELD.initializer, bytes)),
    ...inputs.map((value) => messageField(FIELD.input, valueProto(value))),
    ...outputs.map((value) => messageField(FIELD.output, valueProto(value))),
  );
  const written = tensors.map((tensor) => {
    const place = placed.get(tensor), { name, dtype, shape } = tensor, bytes = sizeOfTensor(tensor);
    if (place) {
      const proto = externalTensorProto(name, dtype, shape, bytes, place);
      return { tensor, head: messageField(FIELD.initializer, proto), inside: 0 };
    }
    const own = tensorHead(tensor);
    return {
      tensor,
      head: joinBytes(messageHeader(FIELD.initializer, own.length + bytes), own),
      inside: bytes,
    };
  });
  const graph = written.reduce((sum, { head, inside }) => sum + head.length + inside, head.length);
  yield joinBytes(modelFields(), messageHeader(FIELD.graph, graph));
  yield head;
  for (const { tensor, head, inside } of written) {
    yield head;
    if (inside > 0) yield await contentOf(tensor);
  }
}
