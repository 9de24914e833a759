// How far a download is, in bytes: one live line on a terminal, a plain line now and then elsewhere.
import process from "node:process";
import { formatBytes, formatDuration } from "../report/format.ts";
import { inNotebook } from "../report/notebook.ts";
import type { ProgressOutput } from "../report/progress.ts";

/** Options of {@linkcode byteLine}. */
export interface ByteLineOptions {
  /** First words of the line. */
  label: string;
  /** Bytes in all. */
  total: number;
  /** Bytes that were there before. Default: 0. */
  have?: number;
  /** Write nothing. Default: false. */
  quiet?: boolean;
  /** Default: standard error. */
  output?: ProgressOutput;
  /** The clock in milliseconds. Default: performance.now. */
  now?: () => number;
}

/** A line in use. */
export interface ByteLine {
  /** Tells of more bytes; fewer (negative) when some had to be dropped. */
  add(bytes: number): void;
  /** Ends the line; with how long it took where all bytes came. */
  finish(): void;
}

const REDRAW_MS = 100, PLAIN_MS = 5000, BAR = 20;
/** Fewer bytes, when they come at once, are not worth a line. */
const WORTH_A_LINE = 1e6;

/** Shows bytes, speed and time left. Speed counts what came through this line, not what was there before. */
export function byteLine(options: ByteLineOptions): ByteLine {
  const { label, total, have = 0, quiet = false, output = standardError() } = options;
  const now = options.now ?? (() => performance.now());
  const started = now();
  let done = have, shown = started;
  const line = (isLast: boolean) => {
    const seconds = (now() - started) / 1000, speed = (done - have) / Math.max(seconds, 1e-3);
    const share = total === 0 ? 1 : Math.min(done / total, 1);
    const bar = output.isTerminal ? ` ${"█".repeat(Math.round(share * BAR)).padEnd(BAR, "░")}` : "";
    const time = isLast && done >= total
      ? `in ${formatDuration(seconds)}`
      : speed > 0
      ? `${formatDuration((total - done) / speed)} left`
      : "";
    const parts = [`${formatBytes(done)} of ${formatBytes(total)}`, `${formatBytes(speed)}/s`, time].filter(
      Boolean,
    );
    return `${label}${bar} ${parts.join(" · ")}`;
  };
  const write = (isLast: boolean) => {
    shown = now();
    if (!output.isTerminal) return output.write(`${line(isLast)}\n`);
    const letters = [...line(isLast)].slice(0, (output.columns ?? 80) - 1).join("");
    output.write(`\r${letters}\x1b[K${isLast ? "\n" : ""}`);
  };
  return {
    add(bytes) {
      done += bytes;
      if (!quiet && now() - shown >= (output.isTerminal ? REDRAW_MS : PLAIN_MS)) write(false);
    },
    finish() {
      if (!quiet && (shown > started || total >= WORTH_A_LINE)) write(true);
    },
  };
}

function standardError(): ProgressOutput {
  if (inNotebook()) return { isTerminal: false, write: (text) => console.error(text.trimEnd()) };
  return {
    isTerminal: process.stderr.isTTY ?? false,
    get columns() {
      return process.stderr.columns;
    },
    write: (text) => void process.stderr.write(text),
  };
}
