// A very small WebAssembly assembler: enough to write one function with SIMD by hand, readably, without a toolchain.
// Numbers are those of the WebAssembly core specification 2.0, section 5 (binary format).

/** Part of a module: a byte, or a list of parts. */
export type Code = number | Code[];

/** Value types. */
export const I32 = 0x7f, V128 = 0x7b;

/** Unsigned LEB128. */
function leb(value: number): number[] {
  const bytes: number[] = [];
  do {
    bytes.push(value & 0x7f | (value > 0x7f ? 0x80 : 0));
    value >>>= 7;
  } while (value > 0);
  return bytes;
}

/** Signed LEB128 of a small number that is not negative: one more byte where the sign bit would be set. */
const signedLeb = (value: number): number[] =>
  value < 64 ? [value] : [value & 0x7f | 0x80, ...signedLeb(value >>> 7)];

const simd = (opcode: number, ...rest: Code[]): Code => [0xfd, leb(opcode), rest];
/** Alignment is a hint, given as 1 byte: any address is allowed. */
const memoryArgument = (offset: number): Code => [0, leb(offset)];

export const get = (local: number): Code => [0x20, leb(local)];
export const set = (local: number): Code => [0x21, leb(local)];
export const constant = (value: number): Code => [0x41, signedLeb(value)];
export const add: Code = 0x6a, subtract: Code = 0x6b;
/** Runs the body, again and again while it ends with a number other than 0 on the stack. */
export const loop = (...body: Code[]): Code => [0x03, 0x40, body, 0x0d, 0, 0x0b];

export const f32Load = (offset = 0): Code => [0x2a, memoryArgument(offset)];
export const v128Load = (offset = 0): Code => simd(0, memoryArgument(offset));
export const v128Store = (offset = 0): Code => simd(11, memoryArgument(offset));
export const v128Const = (bytes: ArrayLike<number>): Code => simd(12, Array.from(bytes));
export const shuffle = (lanes: number[]): Code => simd(13, lanes);
export const swizzle: Code = simd(14);
export const f32x4Splat: Code = simd(19);
export const v128And: Code = simd(78);
export const i8x16ShiftRight: Code = simd(109);
export const f32x4Multiply: Code = simd(230);

/** One function: its parameters' types, its other locals' types, its body. */
export interface WasmFunction {
  parameters: number[];
  locals: number[];
  body: Code;
}

/** A module that imports its memory as `js.memory` and exports the one function as `run`. */
export function assemble({ parameters, locals, body }: WasmFunction): Uint8Array<ArrayBuffer> {
  const name = (text: string) => vector([...text].map((letter) => letter.charCodeAt(0)));
  const section = (id: number, ...content: Code[]): Code => [id, sized(content)];
  const code: Code = [vector(locals.map((type) => [1, type])), body, 0x0b];
  return Uint8Array.from(flat([
    [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    section(1, vector([[0x60, vector(parameters), vector([])]])),
    section(2, vector([[name("js"), name("memory"), 0x02, 0x00, 1]])),
    section(3, vector([0])),
    section(7, vector([[name("run"), 0x00, 0]])),
    section(10, vector([sized(code)])),
  ]));
}

const vector = (items: Code[]): Code => [leb(items.length), items];

function sized(code: Code): Code {
  const bytes = flat(code);
  return [leb(bytes.length), bytes];
}

const flat = (code: Code): number[] => typeof code === "number" ? [code] : code.flatMap(flat);
