// The automaton over bytes that a grammar is walked by: its states are sets of stacks of frames, found as they are needed and
// remembered with what every byte leads to. Equal states are one, so that what is known of a state (its mask) is found again.

import { type Frame, NO_WAY, type Ways } from "./frame.ts";
import { type Freedom, MOST_FREE } from "./characters.ts";

/** A frame on what lies below it; END is the end of the text. */
interface Stack {
  readonly id: number;
  readonly frame?: Frame;
  readonly below?: Stack;
  bound(): number;
  /** The states that its frame's ways lead to where no other stack goes on: most bytes of a text have the same way. */
  readonly led: Map<Ways, number>;
}

export interface State {
  readonly id: number;
  readonly stacks: readonly Stack[];
  /** The text may end here. */
  readonly accepts: boolean;
  /** It has to. */
  readonly ended: boolean;
}

export interface Machine {
  readonly start: number;
  readonly states: readonly State[];
  /** Of state s and byte b at 256 s + b: the next state, DEAD, or UNKNOWN as long as nobody asked. Replaced when it grows. */
  transitions: Int32Array;
  next(state: number, byte: number): number;
  /** Free characters that a state takes whatever else it takes; undefined where only looking at each token tells. */
  freedom(state: number): Freedom | undefined;
  /** A name: tokens of at most `depth` bytes can follow all states of that name, and are as far from an end behind them. */
  likeness(state: number, depth: number): string | undefined;
  /** The shortest bytes to an end, and a bound of their number. */
  finish(state: number): string;
  bound(state: number): number;
}

export const DEAD = -1, UNKNOWN = -2;
const END: Stack = { id: 0, bound: () => 0, led: new Map() };

/** @param first the frames of the whole text, the one that comes first last */
export function createMachine(first: readonly Frame[]): Machine {
  const stacks = new Map<string, Stack>(), known = new Map<string, State>(), states: State[] = [];
  const push = (frame: Frame, below: Stack): Stack => {
    const key = `${frame.id} ${below.id}`;
    let stack = stacks.get(key);
    if (!stack) {
      let most: number | undefined;
      const bound = () => most ??= frame.bound() + below.bound();
      stacks.set(key, stack = { id: stacks.size + 1, frame, below, bound, led: new Map() });
    }
    return stack;
  };
  const stateOf = (list: readonly Stack[]): State => {
    const all = new Set(list);
    for (const { frame, below } of all) if (frame?.closing) all.add(below!); // a Set goes on to what is added
    const sorted = [...all].sort((a, b) => a.id - b.id), key = sorted.map(({ id }) => id).join(" ");
    let state = known.get(key);
    if (!state) {
      state = {
        id: states.length,
        stacks: sorted,
        accepts: all.has(END),
        ended: all.has(END) && all.size === 1,
      };
      known.set(key, state);
      states.push(state);
      if (256 * states.length > machine.transitions.length) {
        const larger = new Int32Array(2 * machine.transitions.length).fill(UNKNOWN);
        larger.set(machine.transitions);
        machine.transitions = larger;
      }
    }
    return state;
  };
  const replaced = ({ stack, ways }: { stack: Stack; ways: Ways }): Stack[] =>
    ways.map((frames) => frames.reduce((below, inner) => push(inner, below), stack.below!));
  const led = (going: { stack: Stack; ways: Ways }): number => {
    const { stack, ways } = going;
    let state = stack.led.get(ways);
    if (state === undefined) stack.led.set(ways, state = stateOf(replaced(going)).id);
    return state;
  };
  const shortest = (id: number) =>
    states[id].stacks.reduce((best, stack) => stack.bound() < best.bound() ? stack : best);
  const machine: Machine = {
    start: 0,
    states,
    transitions: new Int32Array(256 * 64).fill(UNKNOWN),
    next(id, byte) {
      const at = 256 * id + byte, before = machine.transitions[at];
      if (before !== UNKNOWN) return before;
      const going: { stack: Stack; ways: Ways }[] = [];
      for (const stack of states[id].stacks) {
        const ways = stack.frame?.step(byte) ?? NO_WAY;
        if (ways.length > 0) going.push({ stack, ways });
      }
      const next = going.length === 0
        ? DEAD
        : going.length === 1
        ? led(going[0])
        : stateOf(going.flatMap(replaced)).id;
      machine.transitions[at] = next;
      return next;
    },
    freedom(id) {
      const free = states[id].stacks.filter(({ frame }) => frame).map(({ frame }) => frame!.freedom?.());
      if (free.length === 1) return free[0]?.exact ? free[0] : undefined;
      return free.find((one) => one?.exact && one.count === MOST_FREE);
    },
    likeness(id, depth) {
      const { stacks } = states[id];
      const top = stacks.find((one) =>
        one.frame && stacks.every((other) => other === one || other === one.below)
      );
      const name = top?.frame?.likeness?.(depth);
      return name && `${name} ${top!.below!.id} ${stacks.length}`;
    },
    finish(id) {
      let bytes = "";
      for (let stack: Stack | undefined = shortest(id); stack?.frame; stack = stack.below) {
        bytes += stack.frame.finish();
      }
      return bytes;
    },
    bound: (id) => shortest(id).bound(),
  };
  machine.transitions.fill(UNKNOWN);
  stateOf([first.reduce((below, frame) => push(frame, below), END)]);
  return machine;
}
