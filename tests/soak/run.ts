// Twenty minutes of training on rows of mixed length: memory must not rise, no file may stay open.
//   deno task test:soak [minutes] [--backend=webgpu] [--bound=1]
import { renderSVG } from "../../lib/report/render.ts";
import { markdownTable } from "../../lib/report/table.ts";
import { type Fit, fitLine, rises } from "./slope.ts";

/** A child's line. */
interface Sample {
  minute: number;
  steps: number;
  rss: number;
  heapUsed: number;
  external: number;
  files: number;
  live: number;
  buffers: number;
}

const plain = Deno.args.filter((argument) => !argument.startsWith("--"));
const flag = (name: string, absent: string) =>
  Deno.args.find((argument) => argument.startsWith(`--${name}=`))?.split("=")[1] ?? absent;
const minutes = Number(plain[0] ?? 20), backend = flag("backend", "cpu");
/** Megabytes a minute; what a real leak of one batch a step loses in a second. */
const bound = Number(flag("bound", "1"));
const MB = 2 ** 20;

const samples = await runChild();
// Programs for every shape, caches and the allocator's own reserves fill up first.
const warm = samples.filter(({ minute }) => minute > Math.max(0.2 * minutes, 0.5));
if (warm.length < 10) throw new Error(`only ${warm.length} samples after the warm-up: run it for longer`);
const series = {
  "resident": (s: Sample) => s.rss / MB,
  "V8 heap": (s: Sample) => s.heapUsed / MB,
  "V8 external": (s: Sample) => s.external / MB,
  "tensors on the device": (s: Sample) => s.live / MB,
};
const fits = Object.entries(series).map(([name, of]) => {
  const fit = fitLine(warm.map((sample) => [sample.minute, of(sample)]));
  return { name, of, fit, rising: rises(fit, bound) };
});
const files = fitLine(warm.map(({ minute, files }) => [minute, files]));
const filesRise = rises(files, 0.5) || warm.at(-1)!.files > warm[0].files + 8;

console.log(markdownTable(fits.map(({ name, of, fit, rising }) => ({
  memory: name,
  "first, MB": of(warm[0]).toFixed(1),
  "last, MB": of(warm.at(-1)!).toFixed(1),
  "slope, MB/min": fit.slope.toFixed(3),
  "standard error": fit.error.toFixed(3),
  verdict: rising ? "RISES" : "flat",
}))));
console.log(
  `open files: ${warm[0].files} at first, ${warm.at(-1)!.files} at last; tensors: ${warm[0].buffers}, ${
    warm.at(-1)!.buffers
  }`,
);
console.log(
  `${
    samples.at(-1)!.steps
  } steps in ${minutes} minutes on ${backend}, ${warm.length} samples after the warm-up`,
);
await Deno.mkdir("out", { recursive: true });
await Deno.writeTextFile(`out/soak-${backend}.svg`, await renderSVG(chart(fits[0].fit)));
if (filesRise || fits.some(({ rising }) => rising)) {
  console.log(`FAILED: ${filesRise ? "files stay open" : `memory rises by more than ${bound} MB a minute`}`);
  Deno.exit(1);
}

async function runChild(): Promise<Sample[]> {
  const folder = await Deno.makeTempDir({ prefix: "soak-" });
  const script = new URL("child.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--unstable-webgpu",
      "--v8-flags=--expose-gc",
      script,
      String(minutes),
      backend,
      folder,
    ],
    stdout: "piped",
  }).spawn();
  const samples: Sample[] = [];
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    samples.push(...lines.filter((line) => line.startsWith("@")).map((line) => JSON.parse(line.slice(1))));
  }
  const { code } = await child.status;
  await Deno.remove(folder, { recursive: true });
  if (code !== 0) throw new Error(`the child ended with ${code}`);
  return samples;
}

function chart({ slope, start, error }: Fit): Record<string, unknown> {
  const point = (x: number, y: number) => ({ minute: x, MB: y });
  const line = [warm[0].minute, warm.at(-1)!.minute].map((minute) => point(minute, start + slope * minute));
  const encoding = {
    x: { field: "minute", type: "quantitative", title: "Minute" },
    y: { field: "MB", type: "quantitative", title: "Resident memory, MB", scale: { zero: false } },
  };
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    ...{ width: 560, height: 300, background: "white" },
    title: `${slope.toFixed(2)} ± ${error.toFixed(2)} MB a minute after the warm-up`,
    layer: [
      {
        data: { values: samples.map((s) => point(s.minute, s.rss / MB)) },
        mark: { type: "point", size: 12 },
        encoding,
      },
      { data: { values: line }, mark: { type: "line", color: "#c33", strokeWidth: 2 }, encoding },
    ],
  };
}
