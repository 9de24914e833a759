// Counters of a server in the Prometheus text format.

/** What is counted. */
export interface Metrics {
  /** A request has a response, or its beginning. */
  answered(path: string, status: number): void;
  /** Seconds from a request to its response's end. */
  ended(seconds: number): void;
  /** Tokens that have been read or made. */
  tokens(kind: "prompt" | "generated", count: number): void;
  /** Seconds from a request to its first token. */
  firstToken(seconds: number): void;
  /** An answer whose client has left. */
  cancelled(): void;
  /** The page of /metrics; `gauges` are the numbers of this moment. */
  text(gauges: Readonly<Record<string, number>>): string;
}

/** Upper bounds of the histograms, in seconds. */
const buckets = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100];

const help: Record<string, [type: string, meaning: string]> = {
  fintune_requests_total: ["counter", "Requests by path and status."],
  fintune_tokens_total: ["counter", "Tokens of prompts and of answers."],
  fintune_prompt_tokens_read_total: ["counter", "Tokens of prompts that were read; equal prompts share it."],
  fintune_cancelled_total: ["counter", "Answers whose client left."],
  fintune_request_seconds: ["histogram", "Time from a request to the end of its answer."],
  fintune_first_token_seconds: ["histogram", "Time from a request to its first token."],
  fintune_running: ["gauge", "Answers that go on at the moment."],
  fintune_waiting: ["gauge", "Answers that wait for a place."],
  process_resident_memory_bytes: ["gauge", "Resident memory of the server's process."],
};

export function createMetrics(): Metrics {
  const counters = new Map<string, Map<string, number>>();
  const add = (name: string, labels: string, count: number) => {
    const series = counters.get(name) ?? new Map<string, number>();
    counters.set(name, series.set(labels, (series.get(labels) ?? 0) + count));
  };
  const observe = (name: string, seconds: number) => {
    for (const bound of [...buckets, Infinity]) {
      add(`${name}_bucket`, `{le="${bound === Infinity ? "+Inf" : bound}"}`, seconds <= bound ? 1 : 0);
    }
    add(`${name}_sum`, "", seconds);
    add(`${name}_count`, "", 1);
  };
  return {
    answered: (path, status) => add("fintune_requests_total", `{path="${path}",status="${status}"}`, 1),
    ended: (seconds) => observe("fintune_request_seconds", seconds),
    tokens: (kind, count) => add("fintune_tokens_total", `{kind="${kind}"}`, count),
    firstToken: (seconds) => observe("fintune_first_token_seconds", seconds),
    cancelled: () => add("fintune_cancelled_total", "", 1),
    text(gauges) {
      const lines: string[] = [];
      for (const [name, [type, meaning]] of Object.entries(help)) {
        const series = [...counters].filter(([key]) => key.replace(/_(bucket|sum|count)$/, "") === name);
        lines.push(`# HELP ${name} ${meaning}`, `# TYPE ${name} ${type}`);
        for (const [key, values] of series) {
          for (const [labels, n] of values) lines.push(`${key}${labels} ${n}`);
        }
        if (name in gauges) lines.push(`${name} ${gauges[name]}`);
        else if (series.length === 0 && name === "fintune_cancelled_total") lines.push(`${name} 0`);
      }
      return lines.join("\n") + "\n";
    },
  };
}
