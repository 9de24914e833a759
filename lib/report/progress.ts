// How far a run is: one live line on a terminal, a plain line now and then elsewhere, nothing when quiet.
import process from "node:process";
import { formatBytes, formatDuration, formatNumber } from "./format.ts";
import { processMemory } from "./memory.ts";
import { escapeText } from "./html.ts";
import { inNotebook } from "./notebook.ts";

/** Where progress is written; the default is standard error, so that a program's output stays clean. */
export interface ProgressOutput {
  /** Whether a line can be written over. */
  isTerminal: boolean;
  /** Letters that fit on a line; asked anew each time, as windows change. Default: 80. */
  columns?: number;
  /** Takes text, with its control characters and line ends. */
  write(text: string): void;
  /** Takes the place of `write` where the state is drawn anew each time: a line without control characters, the share done. */
  draw?(line: string, share: number): void;
}

/** Options of {@linkcode progressLine}. */
export interface ProgressOptions {
  /** Steps in all. */
  total: number;
  /** First word of the line. Default: none. */
  label?: string;
  /** Write nothing at all. Default: false. */
  quiet?: boolean;
  /** Default: standard error. */
  output?: ProgressOutput;
  /** Seconds between plain lines where there is no terminal. Default: 5. */
  every?: number;
  /** The clock in milliseconds. Default: performance.now. */
  now?: () => number;
}

/** The state after a step; every further field is shown as "name value". */
export interface ProgressUpdate {
  /** Steps done. */
  step: number;
  /** Mean cross-entropy in nats a token. */
  loss?: number;
  /** Real (unpadded) tokens a second. */
  tokensPerSecond?: number;
  /** Numbers are written short, undefined is left out. */
  [name: string]: number | string | undefined;
}

/** A progress line in use. */
export interface ProgressLine {
  /** Tells the state; cheap enough to be called after every step. What it leaves out stays as it was told last. */
  update(state: ProgressUpdate): void;
  /** Writes the last state and the time taken, and ends the line. */
  finish(): void;
}

/** Ten pictures a second are enough for eyes. */
const REDRAW_MS = 100;
/** Of a notebook's kernel each picture is a message. */
const MESSAGE_MS = 500;
const BAR = 10;

/**
 * Shows steps, loss, tokens a second, memory (resident in this process) and time left. On a terminal one line is
 * rewritten at most ten times a second, in a notebook a bar with its line at most twice; elsewhere (a file, a CI log) a
 * line is written for the first step and then every `every` seconds. Time left is the steps' mean time, without the first one, which also compiles.
 *
 * @example
 * ```ts
 * import { progressLine } from "@fintune/fintune";
 * const progress = progressLine({ total: 3, label: "training" });
 * for (let step = 1; step <= 3; step++) progress.update({ step, loss: 3 / step, tokensPerSecond: 170 });
 * progress.finish();
 * ```
 */
export function progressLine(options: ProgressOptions): ProgressLine {
  const { total, label = "", quiet = false, output = usualOutput(), every = 5 } = options;
  const now = options.now ?? (() => performance.now());
  const interval = output.isTerminal ? REDRAW_MS : output.draw ? MESSAGE_MS : every * 1000;
  const started = now();
  let shown = -Infinity, first: { step: number; time: number } | undefined, last: ProgressUpdate | undefined;

  const secondsLeft = (step: number) =>
    first && step > first.step ? (now() - first.time) / 1000 / (step - first.step) * (total - step) : NaN;
  const show = (state: ProgressUpdate, time: string, end: string) => {
    if (output.draw) return output.draw(describe(label, "", total, time, state), state.step / total);
    if (!output.isTerminal) return output.write(`${describe(label, "", total, time, state)}\n`);
    const line = describe(label, drawBar(state.step / total), total, time, state);
    // Cut to the window: a line that wraps could not be written over.
    output.write(`\r${cut(line, (output.columns ?? 80) - 1)}\x1b[K${end}`);
  };

  return {
    update(state) {
      last = { ...last, ...state };
      first ??= { step: state.step, time: now() };
      if (quiet || now() - shown < interval) return;
      shown = now();
      const left = secondsLeft(state.step);
      show(last, left > 0 ? `${formatDuration(left)} left` : "", "");
    },
    finish() {
      if (!quiet && last) show(last, `in ${formatDuration((now() - started) / 1000)}`, "\n");
      last = undefined;
    },
  };
}

/** The parts of a line, the most important first: a narrow window cuts the end. */
function describe(label: string, bar: string, total: number, time: string, state: ProgressUpdate): string {
  const { step, loss, tokensPerSecond, ...extra } = state;
  const head = [label, bar, `${formatNumber(step)}/${formatNumber(total)}`].filter(Boolean).join(" ");
  const parts = [
    head,
    time,
    loss === undefined ? "" : `loss ${loss.toFixed(4)}`,
    tokensPerSecond === undefined ? "" : `${formatNumber(Math.round(tokensPerSecond))} tokens/s`,
    formatBytes(processMemory().rss),
    ...Object.entries(extra).map(([name, value]) =>
      value === undefined ? "" : `${name} ${typeof value === "number" ? formatNumber(value) : value}`
    ),
  ];
  return parts.filter(Boolean).join(" · ");
}

function drawBar(share: number): string {
  const full = Math.round(Math.min(Math.max(share, 0), 1) * BAR);
  return "█".repeat(full) + "░".repeat(BAR - full);
}

function cut(text: string, width: number): string {
  const letters = [...text];
  return letters.length <= width ? text : letters.slice(0, Math.max(width - 1, 0)).join("") + "…";
}

/** Standard error in Deno and Node, a picture in a notebook. */
function usualOutput(): ProgressOutput {
  if (inNotebook()) {
    return {
      isTerminal: false,
      write: (text) => console.error(text),
      draw: drawInNotebook(),
    };
  }
  return {
    isTerminal: Boolean(process.stderr.isTTY),
    get columns() {
      return process.stderr.columns || 80;
    },
    write: (text) => void process.stderr.write(text),
  };
}

/** One output of the cell, which every message puts anew; messages go one behind the other. */
function drawInNotebook(): (line: string, share: number) => void {
  const transient = { display_id: crypto.randomUUID() };
  let sent: Promise<unknown> | undefined;
  return (line, share) => {
    const picture = `<progress max="1" value="${share.toFixed(3)}"></progress> ${escapeText(line)}`;
    const content = { data: { "text/html": picture, "text/plain": line }, metadata: {}, transient };
    const type = sent ? "update_display_data" : "display_data";
    const send = () => Deno.jupyter.broadcast(type, content);
    // A front end that has gone misses pictures; the work goes on.
    sent = (sent ?? Promise.resolve()).then(send).catch(() => {});
  };
}
