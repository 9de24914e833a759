// Numbers, bytes and durations as people read them.

/**
 * A number in a few characters: whole numbers and those from 1,000 with commas, others with four significant digits,
 * below 0.001 as a power of ten.
 *
 * @example
 * ```ts
 * import { formatNumber } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * assert.equal(formatNumber(1100048384), "1,100,048,384");
 * assert.equal(formatNumber(2.34567), "2.346");
 * assert.equal(formatNumber(2e-4), "2e-4");
 * ```
 */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value) || Math.abs(value) >= 999.95) return Math.round(value).toLocaleString("en-US");
  if (Math.abs(value) >= 0.001) return String(Number(value.toPrecision(4)));
  return Number(value.toPrecision(4)).toExponential();
}

/**
 * A count of bytes with three digits and a decimal unit (1 kB = 1,000 bytes), as disks and GPUs are sold.
 *
 * @example
 * ```ts
 * import { formatBytes } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * assert.equal(formatBytes(999), "999 B");
 * assert.equal(formatBytes(6_912_345_678), "6.91 GB");
 * ```
 */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return String(bytes);
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let value = bytes, unit = 0;
  // 999.5 would be rounded to 1000, and is the next unit's 1.
  while (Math.abs(value) >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : Number(value.toPrecision(3))} ${units[unit]}`;
}

/**
 * A duration in its two largest units.
 *
 * @param seconds 0 or more; Infinity and NaN (nothing measured yet) give "?"
 *
 * @example
 * ```ts
 * import { formatDuration } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * assert.equal(formatDuration(0.25), "250 ms");
 * assert.equal(formatDuration(200), "3 min 20 s");
 * assert.equal(formatDuration(7500), "2 h 05 min");
 * ```
 */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return pair(whole, 60, "min", "s");
  const minutes = Math.round(seconds / 60);
  return minutes < 1440 ? pair(minutes, 60, "h", "min") : pair(Math.round(seconds / 3600), 24, "d", "h");
}

function pair(small: number, size: number, large: string, name: string): string {
  return `${Math.floor(small / size)} ${large} ${String(small % size).padStart(2, "0")} ${name}`;
}
