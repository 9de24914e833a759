// A small WebAssembly assembler: functions with SIMD, relaxed SIMD and atomics over one shared memory, written by hand.
// Numbers are those of the WebAssembly core specification 3.0, section 5 (binary format), and of its threads proposal.

/** Part of a module: a byte, or a list of parts. */
export type Code = number | readonly Code[];

export const I32 = 0x7f, F32 = 0x7d, V128 = 0x7b;

/** Unsigned LEB128. */
function leb(value: number): number[] {
  const bytes: number[] = [];
  do {
    bytes.push(value & 0x7f | (value > 0x7f ? 0x80 : 0));
    value >>>= 7;
  } while (value > 0);
  return bytes;
}

/** Signed LEB128. */
function signedLeb(value: number): number[] {
  const low = value & 0x7f, rest = value >> 7;
  const done = rest === 0 && !(low & 0x40) || rest === -1 && (low & 0x40) !== 0;
  return done ? [low] : [low | 0x80, ...signedLeb(rest)];
}

const simd = (opcode: number, ...rest: Code[]): Code => [0xfd, leb(opcode), rest];
/** Alignment is a hint, given as 1 byte: any address is allowed. */
const at = (offset: number): Code => [0, leb(offset)];

export const get = (local: number): Code => [0x20, leb(local)];
export const set = (local: number, ...value: Code[]): Code => [value, 0x21, leb(local)];
export const tee = (local: number, ...value: Code[]): Code => [value, 0x22, leb(local)];
export const int = (value: number): Code => [0x41, signedLeb(value)];
export const float = (value: number): Code => [0x43, ...new Uint8Array(Float32Array.of(value).buffer)];
export const call = (index: number): Code => [0x10, leb(index)];
/** Runs the body, again and again while it ends with a number other than 0 on the stack. */
export const loop = (...body: Code[]): Code => [0x03, 0x40, body, 0x0d, 0, 0x0b];
export const when = (condition: Code, ...body: Code[]): Code => [condition, 0x04, 0x40, body, 0x0b];
/** A binary or unary instruction behind its operands. */
const behind = (opcode: Code) => (...operands: Code[]): Code => [operands, opcode];

export const i32 = {
  load: (address: Code, offset = 0): Code => [address, 0x28, at(offset)],
  store: (address: Code, value: Code, offset = 0): Code => [address, value, 0x36, at(offset)],
  store8: (address: Code, value: Code, offset = 0): Code => [address, value, 0x3a, at(offset)],
  add: behind(0x6a),
  sub: behind(0x6b),
  mul: behind(0x6c),
  divU: behind(0x6e),
  and: behind(0x71),
  shl: behind(0x74),
  shrU: behind(0x76),
  eq: behind(0x46),
  ne: behind(0x47),
  ltS: behind(0x48),
  gtS: behind(0x4a),
  select: behind(0x1b),
};
export const f32 = {
  load: (address: Code, offset = 0): Code => [address, 0x2a, at(offset)],
  store: (address: Code, value: Code, offset = 0): Code => [address, value, 0x38, at(offset)],
  sqrt: behind(0x91),
  add: behind(0x92),
  sub: behind(0x93),
  mul: behind(0x94),
  div: behind(0x95),
  max: behind(0x97),
  fromI32: behind(0xb2),
};
export const v128 = {
  load: (address: Code, offset = 0): Code => [address, simd(0, at(offset))],
  load32Splat: (address: Code, offset = 0): Code => [address, simd(9, at(offset))],
  store: (address: Code, value: Code, offset = 0): Code => [address, value, simd(11, at(offset))],
  bytes: (bytes: ArrayLike<number>): Code => simd(12, Array.from(bytes)),
  and: behind(simd(78)),
};
export const i8x16 = {
  relaxedSwizzle: behind(simd(0x100)),
  shuffle: (a: Code, b: Code, lanes: number[]): Code => [a, b, simd(13, lanes)],
  narrow: behind(simd(101)),
};
export const i16x8 = { shrU: behind(simd(141)), narrow: behind(simd(133)) };
export const i32x4 = {
  add: behind(simd(174)),
  shl: behind(simd(171)),
  splat: behind(simd(17)),
  extract: (value: Code, lane: number): Code => [value, simd(27), lane],
  /** acc + sums of four products of signed bytes with 7-bit ones. */
  dot: behind(simd(0x113)),
  sub: behind(simd(177)),
  /** Of f32 without a sign the largest too, and NaN is larger than all. */
  maxS: behind(simd(184)),
};
export const f32x4 = {
  gt: behind(simd(68)),
  splat: behind(simd(19)),
  extract: (value: Code, lane: number): Code => [value, simd(31), lane],
  abs: behind(simd(224)),
  neg: behind(simd(225)),
  sqrt: behind(simd(227)),
  add: behind(simd(228)),
  sub: behind(simd(229)),
  mul: behind(simd(230)),
  div: behind(simd(231)),
  /** b where b < a, else a: one instruction, and a's NaN stays. */
  pmin: behind(simd(234)),
  /** b where a < b, else a. */
  pmax: behind(simd(235)),
  madd: behind(simd(0x105)),
  fromI32: behind(simd(250)),
};
const atomic = (opcode: number, offset: number): Code => [0xfe, opcode, 2, leb(offset)];
export const atomics = {
  load: (address: Code, offset = 0): Code => [address, atomic(0x10, offset)],
  store: (address: Code, value: Code, offset = 0): Code => [address, value, atomic(0x17, offset)],
  /** Adds, and drops what was there. */
  add: (address: Code, value: Code, offset = 0): Code => [address, value, atomic(0x1e, offset), 0x1a],
  /** Wakes all who wait there. */
  notify: (address: Code): Code => [address, int(-1), atomic(0x00, 0), 0x1a],
  /** Sleeps while the number is `expected`, for at most so many nanoseconds. */
  wait: (address: Code, expected: Code, nanoseconds: number): Code => [
    [address, expected, 0x42, signedLeb(nanoseconds)],
    [atomic(0x01, 0), 0x1a],
  ],
};

/** One function: how many numbers (I32) it takes, the types of its other locals, its body; `name` is exported. */
export interface WasmFunction {
  readonly name: string;
  readonly parameters: number;
  readonly locals: readonly number[];
  readonly body: Code;
}

/** Writes a function's body with locals by name: `local(type)` gives the next one's number. */
export function func(
  name: string,
  parameters: number,
  write: (local: (type: number) => number, ...parameters: number[]) => Code,
): WasmFunction {
  const locals: number[] = [];
  const local = (type: number) => parameters + locals.push(type) - 1;
  const body = write(local, ...Array.from({ length: parameters }, (_, i) => i));
  return { name, parameters, locals, body };
}

/** A module of functions of numbers (I32), which imports its memory, a shared one, as `js.memory`. */
export function assemble(functions: readonly WasmFunction[]): Uint8Array<ArrayBuffer> {
  const name = (text: string) => vector([...text].map((letter) => letter.charCodeAt(0)));
  const section = (id: number, ...content: Code[]): Code => [id, sized(content)];
  const type = (
    { parameters }: WasmFunction,
  ): Code => [0x60, vector(new Array(parameters).fill(I32)), vector([])];
  const shared: Code = [name("js"), name("memory"), 0x02, 0x03, leb(1), leb(65536)];
  const code = ({ locals, body }: WasmFunction) =>
    sized([vector(locals.map((type) => [1, type])), body, 0x0b]);
  return Uint8Array.from(flat([
    [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    section(1, vector(functions.map(type))),
    section(2, vector([shared])),
    section(3, vector(functions.map((_, i) => leb(i)))),
    section(7, vector(functions.map((f, i) => [name(f.name), 0x00, leb(i)]))),
    section(10, vector(functions.map(code))),
  ]));
}

const vector = (items: readonly Code[]): Code => [leb(items.length), items];

function sized(code: Code): Code {
  const bytes = flat(code);
  return [leb(bytes.length), bytes];
}

function flat(code: Code): number[] {
  const bytes: number[] = [];
  const add = (part: Code): void => typeof part === "number" ? void bytes.push(part) : part.forEach(add);
  add(code);
  return bytes;
}
