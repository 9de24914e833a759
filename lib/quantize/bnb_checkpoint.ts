// Weights that bitsandbytes quantised before they were saved (the Hub's *-bnb-4bit): beside `X.weight`, the packed codes,
// lie its scales, codebooks and a JSON text as a tensor of bytes (bitsandbytes' QuantState.as_dict(packed=True)).

import { UserError } from "../errors.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { elementCount, toFloat32 } from "../formats/safetensors.ts";
import { NF4_LEVELS, type NF4Parts } from "./nf4.ts";
import type { NestedAbsmax } from "./nested.ts";

/** Where tensors are read from. */
export type Source = Pick<Checkpoint, "tensors" | "read">;

/** The text's fields that matter here. */
interface QuantState {
  blocksize: number;
  shape: number[];
  nested_blocksize?: number;
  nested_offset?: number;
}

const STATE = ".quant_state.bitsandbytes__";
/** bitsandbytes' defaults, and all that is on the Hub. */
const BLOCK = 64, NESTED_BLOCK = 256;

/** Whether a tensor of a checkpoint is not a weight but belongs to a quantised one. */
export function isBnbPart(name: string): boolean {
  return /\.weight\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\.bitsandbytes__(nf4|fp4))$/
    .test(name);
}

/**
 * The NF4 parts of a weight that bitsandbytes quantised.
 *
 * @param checkpoint the open weights
 * @param name the weight's name, ending in ".weight"
 * @param shape its unquantised shape, [out, in]
 * @returns codes and scales; undefined when the weight is not quantised
 * @throws UserError for fp4, another block size, or parts that do not fit together
 */
export async function bnbParts(
  checkpoint: Source,
  name: string,
  shape: readonly number[],
): Promise<NF4Parts | undefined> {
  if (checkpoint.tensors.has(`${name}${STATE}fp4`)) {
    throw new UserError(
      `${name} is quantised to bitsandbytes fp4, which is not supported: take a model in nf4.`,
    );
  }
  if (!checkpoint.tensors.has(`${name}${STATE}nf4`)) return undefined;
  const state = parseState(await checkpoint.read(`${name}${STATE}nf4`), name);
  if (state.shape.join() !== shape.join()) {
    throw new UserError(`${name} is [${state.shape}] in its quantisation state, but [${shape}] is expected.`);
  }
  const count = elementCount(shape), blocks = Math.ceil(count / BLOCK);
  const levels = await floats(checkpoint, `${name}.quant_map`, 16);
  if (levels.some((level, i) => level !== NF4_LEVELS[i])) {
    throw new UserError(`${name}.quant_map holds other levels than NF4's.`);
  }
  // quant_storage may call the codes by a wider dtype: only their bytes count.
  const codes = await checkpoint.read(name);
  if (codes.length !== Math.ceil(count / 2)) {
    throw new UserError(
      `${name} has ${codes.length} bytes of codes where ${Math.ceil(count / 2)} are expected.`,
    );
  }
  if (state.nested_blocksize === undefined) {
    return { codes, blockSize: BLOCK, absmax: await floats(checkpoint, `${name}.absmax`, blocks) };
  }
  return { codes, blockSize: BLOCK, nested: await readNested(checkpoint, name, blocks, state) };
}

async function readNested(
  checkpoint: Source,
  name: string,
  blocks: number,
  state: QuantState,
): Promise<NestedAbsmax> {
  checkPart(checkpoint, `${name}.absmax`, blocks, ["U8"]);
  return {
    codes: await checkpoint.read(`${name}.absmax`),
    absmax: await floats(checkpoint, `${name}.nested_absmax`, Math.ceil(blocks / NESTED_BLOCK)),
    offset: Math.fround(state.nested_offset!),
    codebook: await floats(checkpoint, `${name}.nested_quant_map`, 256),
    blockSize: NESTED_BLOCK,
  };
}

function parseState(bytes: Uint8Array, name: string): QuantState {
  let state: Partial<QuantState>;
  try {
    state = JSON.parse(new TextDecoder().decode(bytes)) ?? {};
  } catch {
    throw new UserError(`${name}${STATE}nf4 is damaged: it is not valid JSON.`);
  }
  const { blocksize, shape, nested_blocksize: nested, nested_offset: offset } = state;
  if (!Array.isArray(shape) || !shape.every(Number.isSafeInteger)) {
    throw new UserError(`${name}${STATE}nf4 does not tell the weight's shape.`);
  }
  if (blocksize !== BLOCK || (nested !== undefined && nested !== NESTED_BLOCK)) {
    throw new UserError(
      `${name} is quantised in blocks of ${shown(blocksize)}${
        nested === undefined ? "" : ` and ${shown(nested)}`
      }: ` +
        `only ${BLOCK} and ${NESTED_BLOCK} are supported.`,
    );
  }
  if (nested !== undefined && !Number.isFinite(offset)) {
    throw new UserError(`${name}${STATE}nf4 lacks nested_offset, the mean of its scales.`);
  }
  return { blocksize, shape, nested_blocksize: nested, nested_offset: offset };
}

/** What a file holds in place of a number, as long as fits a sentence. */
const shown = (value: unknown): string | undefined => JSON.stringify(value)?.slice(0, 40);

async function floats(checkpoint: Source, name: string, count: number): Promise<Float32Array> {
  const dtype = checkPart(checkpoint, name, count, ["F32", "F16", "BF16"]);
  return toFloat32(await checkpoint.read(name), dtype);
}

/** The part is there, of such a dtype and of as many elements; its dtype. */
function checkPart(checkpoint: Source, name: string, count: number, dtypes: string[]): string {
  const info = checkpoint.tensors.get(name);
  if (!info) throw new UserError(`the weights lack ${name}, which belongs to a quantised weight.`);
  if (!dtypes.includes(info.dtype) || elementCount(info.shape) !== count) {
    throw new UserError(
      `${name} is ${info.dtype} of shape [${info.shape}], expected ${count} of ${dtypes.join(" or ")}.`,
    );
  }
  return info.dtype;
}
