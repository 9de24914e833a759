// Where a step's values stand in the memory, what each thread does, and where the threads have to wait for one another.
import type { Value } from "../graph.ts";
import { call, type Code, get, i32, int, type WasmFunction } from "./assembler.ts";
import { TEAM_BYTES } from "./team.ts";

/** Thrown where the graph asks for what no kernel does. */
export class Unsupported extends Error {}

export function must(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Unsupported(what);
}

/** The sizes that are known when the program runs. */
export type Symbolic = "tokens" | "ends";

/** Where a value's rows are. */
export interface Place {
  readonly at: number;
  /** Bytes from row to row. */
  readonly stride: number;
  /** Bytes from a thread's own copy to the next one's; 0: one for all. */
  readonly apart: number;
}

/** How a value is computed: by every thread for itself, by all together, or in so many groups of columns that are shared out. */
export type Sharing = "own" | "together" | number;

/** What stands at a step function's locals. */
const ARRIVED = 0, ROWS: Record<Symbolic, number> = { tokens: 1, ends: 2 };
/** Where the numbers of rows stand. */
export const sizesAt: Readonly<Record<Symbolic, number>> = { tokens: TEAM_BYTES, ends: TEAM_BYTES + 4 };

const round = (bytes: number, to = 64) => Math.ceil(bytes / to) * to;

export const widthOf = ({ shape }: Value): number => shape[1] as number;
/** Groups of four columns. */
export const groupsOf = (value: Value): number => Math.ceil(widthOf(value) / 4);

export function rowsOf({ shape: [size] }: Value): Symbolic {
  must(size === "tokens" || size === "ends", `rows of ${size}`);
  return size;
}

export type Layout = ReturnType<typeof openLayout>;

/** With room for so many `rows`. Weights stand at the memory's beginning, values from `valuesAt` on. */
export function openLayout({ threads, rows, valuesAt }: { threads: number; rows: number; valuesAt: number }) {
  let weightEnd = TEAM_BYTES + 64, end = valuesAt, barriers = 0;
  const functions = new Map<string, WasmFunction>();
  const scripts: Code[][] = Array.from({ length: threads }, () => []);
  // Rooms of values that nobody reads any more are used again, but only behind a barrier.
  const free: { at: number; bytes: number }[] = [], waiting: typeof free = [];
  const places = new Map<number, Place>(), bytesOf = new Map<Place, number>();
  /** Values that not all threads have seen yet: how many groups of columns were shared out, 0 where it was something else. */
  const pending = new Map<number, number>();

  const index = (name: string): Code => call([...functions.keys()].indexOf(name));
  const each = (write: (thread: number) => Code) => scripts.forEach((script, t) => script.push(write(t)));
  const meet = () => {
    const arrivals = ++barriers * threads;
    each(() => [i32.add(get(ARRIVED), int(arrivals)), index("barrier")]);
    pending.clear();
    free.push(...waiting.splice(0));
  };
  /** Of what is filled before the run, or lasts until its end. */
  const fresh = (bytes: number): number => {
    const at = end;
    end += round(bytes);
    return at;
  };
  const room = (stride: number, own: boolean): Place => {
    const apart = own ? round(stride * rows) : 0, bytes = own ? apart * threads : round(stride * rows);
    const found = free.findIndex((other) => other.bytes === bytes);
    const place = { at: found >= 0 ? free.splice(found, 1)[0].at : fresh(bytes), stride, apart };
    bytesOf.set(place, bytes);
    return place;
  };
  const address = ({ at, apart }: Place, thread: number, offset: number) => int(at + apart * thread + offset);

  return {
    threads,
    rows,
    functions,
    scripts,
    index,
    each,
    meet,
    fresh,
    room,
    define: (...made: WasmFunction[]) => made.forEach((one) => functions.set(one.name, one)),
    /** Room for weights. */
    weight(bytes: number): number {
      const at = weightEnd;
      weightEnd += round(bytes);
      return at;
    },
    /** All of the values can be read by every thread. */
    whole(...values: Value[]): void {
      if (values.some(({ id }) => pending.has(id))) meet();
    },
    /** Every thread can read those columns of the values that it computes itself, of so many groups. */
    alike(groups: number, ...values: Value[]): void {
      if (values.some(({ id }) => (pending.get(id) ?? groups) !== groups)) meet();
    },
    /** Room for a value that is computed now. */
    output(value: Value, sharing: Sharing): Place {
      const place = room(16 * groupsOf(value), sharing === "own");
      places.set(value.id, place);
      if (sharing !== "own") pending.set(value.id, sharing === "together" ? 0 : sharing);
      return place;
    },
    put: (value: Value, place: Place) => void places.set(value.id, place),
    place(value: Value): Place {
      const known = places.get(value.id);
      must(known !== undefined, "a value that nothing computes");
      return known;
    },
    /** Behind the next barrier its room is another value's. */
    release(place: Place | undefined): void {
      if (place) waiting.push({ at: place.at, bytes: bytesOf.get(place)! });
    },
    placeOrNone: (id: number): Place | undefined => places.get(id),
    /** A thread's address of a value, and the bytes from row to row. */
    from: (
      place: Place,
      thread: number,
      offset = 0,
    ): Code => [address(place, thread, offset), int(place.stride)],
    /** How many rows there are. */
    count: (value: Value): Code => get(ROWS[rowsOf(value)]),
    /** First and number of the groups of columns that a thread takes; parts of eight where there are many. */
    share(groups: number, thread: number): [number, number] {
      const unit = groups >= 16 * threads ? 8 : 1;
      const bound = (t: number) => t === threads ? groups : Math.floor(groups * t / threads / unit) * unit;
      return [bound(thread), bound(thread + 1) - bound(thread)];
    },
    arrivals: () => barriers * threads,
    weightBytes: () => round(weightEnd),
    valueBytes: () => end - valuesAt,
  };
}
