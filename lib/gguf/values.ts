// The values of a GGUF file's metadata, and their bytes (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).

/** A value's type by its name; its place in this list is its number in a file, behind uint8 at 0. */
export const valueTypes = [
  "u8",
  "i8",
  "u16",
  "i16",
  "u32",
  "i32",
  "f32",
  "bool",
  "string",
  "array",
  "u64",
  "i64",
  "f64",
] as const;

/** A value's type. */
export type ValueType = typeof valueTypes[number];

/** A number, a text, true or false; a list of them; 64-bit numbers are read as numbers where they are exact. */
export type GgufScalar = number | string | boolean;

/** One entry of the metadata. */
export type GgufValue =
  | { readonly type: Exclude<ValueType, "array">; readonly value: GgufScalar }
  | {
    readonly type: "array";
    readonly of: Exclude<ValueType, "array">;
    readonly value: readonly GgufScalar[];
  };

/** The metadata, in its order. */
export type Metadata = Map<string, GgufValue>;

/** Bytes of a value; a text's vary, with at least the eight of its length. */
export const valueBytes: Readonly<Record<Exclude<ValueType, "array">, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  bool: 1,
  string: 8,
  u64: 8,
  i64: 8,
  f64: 8,
};

export const u32 = (value: number): GgufValue => ({ type: "u32", value });
export const f32 = (value: number): GgufValue => ({ type: "f32", value });
export const bool = (value: boolean): GgufValue => ({ type: "bool", value });
export const string = (value: string): GgufValue => ({ type: "string", value });
export const array = (
  of: Exclude<ValueType, "array">,
  value: readonly GgufScalar[],
): GgufValue => ({ type: "array", of, value });

/** Bytes that grow. */
export interface ByteWriter {
  /** A number of 32 or 64 bits, without sign. */
  u32(value: number): void;
  u64(value: number): void;
  text(value: string): void;
  value(value: GgufValue): void;
  done(): Uint8Array<ArrayBuffer>;
}

/** Writes little-endian numbers and texts behind one another. */
export function byteWriter(): ByteWriter {
  let bytes = new Uint8Array(1 << 16), view = new DataView(bytes.buffer), at = 0;
  const room = (size: number): number => {
    if (at + size > bytes.length) {
      const larger = new Uint8Array(Math.max(2 * bytes.length, at + size));
      larger.set(bytes);
      bytes = larger;
      view = new DataView(bytes.buffer);
    }
    at += size;
    return at - size;
  };
  const writer: ByteWriter = {
    u32: (value) => scalar("u32", value),
    u64: (value) => scalar("u64", value),
    text(value) {
      const encoded = new TextEncoder().encode(value);
      writer.u64(encoded.length);
      const start = room(encoded.length);
      bytes.set(encoded, start);
    },
    value(value) {
      writer.u32(valueTypes.indexOf(value.type));
      if (value.type !== "array") return scalar(value.type, value.value);
      writer.u32(valueTypes.indexOf(value.of));
      writer.u64(value.value.length);
      for (const one of value.value) scalar(value.of, one);
    },
    done: () => bytes.slice(0, at),
  };
  const scalar = (type: Exclude<ValueType, "array">, value: GgufScalar): void => {
    if (type === "string") return writer.text(String(value));
    const start = room(valueBytes[type]); // before the view is used: it may be replaced
    setScalar(view, start, type, Number(value));
  };
  return writer;
}

function setScalar(
  view: DataView,
  at: number,
  type: Exclude<ValueType, "array" | "string">,
  value: number,
): void {
  if (type === "u8" || type === "bool") view.setUint8(at, value);
  else if (type === "i8") view.setInt8(at, value);
  else if (type === "u16") view.setUint16(at, value, true);
  else if (type === "i16") view.setInt16(at, value, true);
  else if (type === "u32") view.setUint32(at, value, true);
  else if (type === "i32") view.setInt32(at, value, true);
  else if (type === "f32") view.setFloat32(at, value, true);
  else if (type === "f64") view.setFloat64(at, value, true);
  else if (type === "u64") view.setBigUint64(at, BigInt(value), true);
  else view.setBigInt64(at, BigInt(value), true);
}

/** A number as it lies in a file. */
export function getScalar(
  view: DataView,
  at: number,
  type: Exclude<ValueType, "array" | "string">,
): number | boolean {
  if (type === "bool") return view.getUint8(at) !== 0;
  if (type === "u8") return view.getUint8(at);
  if (type === "i8") return view.getInt8(at);
  if (type === "u16") return view.getUint16(at, true);
  if (type === "i16") return view.getInt16(at, true);
  if (type === "u32") return view.getUint32(at, true);
  if (type === "i32") return view.getInt32(at, true);
  if (type === "f32") return view.getFloat32(at, true);
  if (type === "f64") return view.getFloat64(at, true);
  return Number(type === "u64" ? view.getBigUint64(at, true) : view.getBigInt64(at, true));
}
