// TensorBoard's event files: records with masked CRC-32C around a few fields of the protobuf message Event. There is no
// kept library for it on npm, and the fields that scalars need are few.
import { join } from "@std/path";
import { fileError } from "../formats/file_error.ts";
import {
  doubleField,
  floatField,
  integerField,
  joinBytes,
  messageField,
  stringField,
} from "../formats/protobuf.ts";
import type { LogEntry } from "./run_log.ts";

/** Which kinds of entry have curves, and the words before the curves' names. */
const GROUPS: Partial<Record<LogEntry["kind"], string>> = { step: "train", evaluation: "validation" };

/** An event file that is written to. */
export interface Events {
  /** The numbers of a step or an evaluation as scalars named train/loss, validation/loss ...; other entries are no curves. */
  write(entry: LogEntry): void;
  close(): void;
}

/**
 * Begins an event file in `folder`. With `resumeAt` it tells TensorBoard, as TensorFlow's own restarts do, to forget what
 * earlier files of the folder say of later steps.
 */
export async function openEvents(folder: string, resumeAt?: number): Promise<Events> {
  const now = Date.now() / 1000;
  // TensorBoard reads a folder's files in the order of their names, so the time comes first, with digits of its own length.
  const path = join(
    folder,
    `events.out.tfevents.${Math.floor(now)}.${
      String(Date.now() % 1000).padStart(3, "0")
    }.${Deno.pid}.fintune`,
  );
  let file: Deno.FsFile;
  try {
    await Deno.mkdir(folder, { recursive: true });
    file = await Deno.open(path, { append: true, create: true });
  } catch (error) {
    throw fileError(error, path, "write");
  }
  const append = (event: Uint8Array) => {
    const framed = record(event);
    for (let done = 0; done < framed.length;) done += file.writeSync(framed.subarray(done));
  };
  append(joinBytes(doubleField(1, now), stringField(3, "brain.Event:2")));
  if (resumeAt !== undefined) {
    const start = integerField(1, 1); // SessionLog.status = START
    append(joinBytes(doubleField(1, now), integerField(2, resumeAt + 1), messageField(7, start)));
  }
  return {
    write(entry) {
      const group = GROUPS[entry.kind];
      if (!group) return;
      const values = Object.entries(entry).flatMap(([name, value]) =>
        name === "step" || name === "time" || typeof value !== "number"
          ? []
          : [messageField(1, joinBytes(stringField(1, `${group}/${name}`), floatField(2, value)))]
      );
      append(
        joinBytes(
          doubleField(1, entry.time),
          integerField(2, entry.step),
          messageField(5, joinBytes(...values)),
        ),
      );
    },
    close: () => file.close(),
  };
}

/** TFRecord: length, its checksum, the bytes, their checksum. */
function record(data: Uint8Array): Uint8Array {
  const framed = new Uint8Array(data.length + 16), view = new DataView(framed.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc(framed.subarray(0, 8)), true);
  framed.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc(data), true);
  return framed;
}

/** Rotated and shifted, so that checksums of texts which hold checksums stay good ones. */
function maskedCrc(data: Uint8Array): number {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** Castagnoli's polynomial, reflected; zlib's crc32 has another. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}
