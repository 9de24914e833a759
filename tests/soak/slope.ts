// A line through points, and whether it rises.

export interface Fit {
  /** Of the line, per unit of x. */
  slope: number;
  /** Its standard error. */
  error: number;
  /** At x = 0. */
  start: number;
}

/** Least squares. Neighbouring samples are alike, so that the error is rather too small: the bound below makes up for it. */
export function fitLine(points: readonly (readonly [x: number, y: number])[]): Fit {
  const n = points.length, mean = (of: 0 | 1) => points.reduce((sum, point) => sum + point[of], 0) / n;
  const x = mean(0), y = mean(1);
  let xx = 0, xy = 0;
  for (const point of points) {
    xx += (point[0] - x) ** 2;
    xy += (point[0] - x) * (point[1] - y);
  }
  const slope = xy / xx, start = y - slope * x;
  const squares = points.reduce((sum, point) => sum + (point[1] - start - slope * point[0]) ** 2, 0);
  return { slope, error: Math.sqrt(squares / Math.max(1, n - 2) / xx), start };
}

/** Rises for sure (more than two standard errors above 0), and by more than it may. */
export const rises = ({ slope, error }: Fit, bound: number): boolean => slope > 2 * error && slope > bound;
