// Protobuf's wire format, as far as writing small messages needs it: a message is its fields' bytes behind one another.

/** Bytes of a field or a message. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Fields (or any pieces) as one message. */
export function joinBytes(...parts: Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function varint(value: number): Bytes {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Uint8Array.from(bytes);
}

/** An int32, int64 or enum field. */
export const integerField = (field: number, value: number): Bytes =>
  joinBytes(varint(field << 3), varint(value));

/** What stands before the bytes of such a field, for a body that follows in pieces. */
export const messageHeader = (field: number, length: number): Bytes =>
  joinBytes(varint(field << 3 | 2), varint(length));

/** A bytes field, or an embedded message. */
export const messageField = (field: number, body: Uint8Array): Bytes =>
  joinBytes(messageHeader(field, body.length), body);

/** A string field. */
export const stringField = (field: number, value: string): Bytes =>
  messageField(field, new TextEncoder().encode(value));

/** A float field. */
export const floatField = (field: number, value: number): Bytes => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return joinBytes(varint(field << 3 | 5), bytes);
};

/** A double field. */
export const doubleField = (field: number, value: number): Bytes => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return joinBytes(varint(field << 3 | 1), bytes);
};
