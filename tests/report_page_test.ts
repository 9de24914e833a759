// A run's page: one file without scripts, whatever is in the run; every part of the run in it, with its numbers.
import assert from "node:assert/strict";
import { basename, join } from "@std/path";
import {
  bootstrap,
  evaluationChart,
  meanMeasure,
  openRunLog,
  plotRun,
  renderSVG,
  report,
  UserError,
} from "../mod.ts";
import { escapeText, markup } from "../lib/report/html.ts";
import { writeEvaluation } from "../lib/evaluate/folder.ts";

const HOSTILE =
  `</div></style></title><script>alert("1")</script><img src=x onerror='alert(2)'>&amp;\0\x1b[31m\ud800`;

async function makeLog(run: string, steps: number, hostile: string): Promise<void> {
  const log = await openRunLog(join(run, "log.jsonl"));
  log.write({ kind: "start", step: 0, time: 1.7e9, total: steps });
  for (let step = 1; step <= steps; step++) {
    const time = 1.7e9 + 2 * step;
    log.write({
      kind: "step",
      step,
      time,
      loss: 3 / step,
      learningRate: 1e-3,
      tokensPerSecond: 170.4,
      memory: 2.5e9,
    });
    if (step % 5 === 0) log.write({ kind: "evaluation", step, time, loss: 4 / step });
  }
  log.write({ kind: "end", step: steps, time: 1.7e9 + 90, stopped: hostile });
  log.close();
}

async function makeEvaluation(run: string, text: string): Promise<void> {
  const folder = join(run, "evaluation");
  await Deno.mkdir(folder);
  const values = [[0.1, 0.2, 0.3, 0.2], [0.5, 0.6, 0.4, 0.7]];
  const models = ["base", "tuned"], name = `ROUGE-L ${text}`;
  const { values: [base, tuned], changes } = bootstrap(values.map((rows) => meanMeasure(name, rows)));
  await writeEvaluation(folder, {
    models,
    rows: 4,
    resamples: 1000,
    confidence: 0.95,
    measures: [
      { name, max: 1, lowerIsBetter: false, values: { base, tuned }, changes: { tuned: changes[0] } },
      {
        name: "loss on general text",
        ...{ max: 1, lowerIsBetter: true, values: { base: { value: 3, low: 2.5, high: 3.5 }, tuned: base } },
        changes: { tuned: { value: -0.5, low: -1, high: 0.1 } },
      },
    ],
    answers: [0, 1, 2, 3].map((index) => ({
      ...{
        index,
        question: `question ${index} ${text}`,
        reference: text,
        predictions: { base: text, tuned: "" },
      },
      values: { [name]: { base: values[0][index], tuned: values[1][index] } },
    })),
  });
}

const VOID = ["meta", "!doctype"];

/** Element and attribute names, as a parser would see them; fails where elements are not closed in their order. */
function namesIn(page: string): { elements: Set<string>; attributes: Set<string> } {
  const elements = new Set<string>(), attributes = new Set<string>(), open: string[] = [];
  const body = page.replace(/<style>[^<]*<\/style>/, "");
  for (const [, close, name, rest] of body.matchAll(/<(\/?)([!a-zA-Z][^\s/>]*)((?:"[^"]*"|[^">])*)>/g)) {
    elements.add(name);
    for (const [, attribute] of rest.matchAll(/([^\s"=/]+)(?:="[^"]*")?/g)) attributes.add(attribute);
    if (close) assert.equal(open.pop(), name);
    else if (!VOID.includes(name) && !rest.endsWith("/")) open.push(name);
  }
  assert.deepEqual(open, []);
  return { elements, attributes };
}

Deno.test("one file: no script, no link elsewhere, all that models and rows hold is text", async () => {
  const run = await Deno.makeTempDir();
  await makeLog(run, 80, HOSTILE);
  await makeEvaluation(run, HOSTILE);
  const settings = [{
    model: HOSTILE,
    data: HOSTILE,
    [HOSTILE]: HOSTILE,
    list: [HOSTILE],
    r: 16,
    quiet: false,
  }];
  await Deno.writeTextFile(join(run, "settings.json"), JSON.stringify(settings));
  const data = { prompt: HOSTILE, limits: [{ [HOSTILE]: HOSTILE, maxLength: 512 }] };
  await Deno.writeTextFile(join(run, "data.json"), JSON.stringify(data));
  const page = await Deno.readTextFile(await report(run));

  assert.ok(page.startsWith("<!doctype html>\n"));
  const { elements, attributes } = namesIn(page);
  for (const name of ["script", "img", "iframe", "link", "object", "a:href", "foreignObject"]) {
    assert.ok(!elements.has(name), name);
  }
  const allowed =
    "! doctype html head meta title style body header h1 h2 h3 h4 h5 p nav a dl dt dd div small table thead tbody tr " +
    "th td figure article section svg g rect path text line";
  for (const name of elements) assert.ok(allowed.split(" ").includes(name.replace("!", "")), name);
  for (const name of attributes) assert.ok(!/^on|^src$|^srcset$/.test(name), name);
  for (const [, link] of page.matchAll(/\b(?:href|src|action)="([^"]*)"/g)) assert.match(link, /^#[a-z]+$/);
  for (const [url] of page.matchAll(/https?:[^"\s<]+/g)) assert.match(url, /^http:\/\/www\.w3\.org\//); // names of SVG, never fetched
  assert.doesNotMatch(page, /@import|url\(/);
  assert.match(page, /default-src 'none'; style-src 'unsafe-inline'/);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(page, /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/);
  const ids = [...page.matchAll(/<[a-z0-9]+ id="([^"]*)"/g)].map(([, id]) => id);
  assert.deepEqual(ids, ["scores", "curves", "samples", "data", "settings"]);
  assert.ok(
    page.includes(escapeText(HOSTILE)) && escapeText(HOSTILE).endsWith("&amp;amp;\u2400\u241b[31m\ufffd"),
  );
  await Deno.remove(run, { recursive: true });
});

Deno.test("every part of the run is there, with its numbers", async () => {
  const run = await Deno.makeTempDir();
  await makeLog(run, 20, "done");
  await makeEvaluation(run, "text");
  const settings = {
    model: "owner/some-model",
    data: "rows.jsonl",
    r: 16,
    learningRate: 2e-4,
    quiet: false,
    none: null,
  };
  await Deno.writeTextFile(join(run, "settings.json"), JSON.stringify(settings));
  const limits = [{ maxLength: 256, whole: "68 %" }, { maxLength: 512, whole: "92 %" }];
  await Deno.writeTextFile(join(run, "data.json"), JSON.stringify({ rows: 27, limits }));
  const path = join(run, "page.html");
  assert.equal(await report(run, { path }), path);
  const page = await Deno.readTextFile(path), words = page.replace(/<[^>]+>/g, "·").replace(/(\s|·)+/g, "·");

  assert.match(page, /<title>some-model, fine-tuned<\/title>/);
  assert.match(words, /·rows\.jsonl · 2023-11-14 22:14 UTC·|·rows\.jsonl·2023-11-14·22:14·UTC/);
  assert.match(words, /·Steps·20·done·/);
  assert.match(words, /·Held-out·loss·0\.2000·lowest·0\.2000·/);
  assert.match(words, /·ROUGE-L·text·0\.5500·base:·0\.2000·/);
  assert.match(words, /·Tokens·a·second·170·Time·1·min·30·s·pauses·included·Memory·2\.5·GB·/);
  assert.match(
    words,
    /·score·base·tuned·change·ROUGE-L·text·0\.2000·0\.1250·to·0\.2750·0\.5500·0\.4\d+·to·0\.6\d+·\+0\.3500·/,
  );
  assert.match(page, /<td class="number good">\+0\.3500/);
  assert.match(page, /loss on general text ↓/);
  assert.match(page, /<td class="number ">-0\.5000/); // its interval holds 0
  assert.match(
    words,
    /·Best·by·ROUGE-L·text,·tuned·against·base·Row·3·base·0\.2000,·tuned·0\.7000·\(\+0\.5000\)·question·question·3·/,
  );
  assert.match(words, /·Worst·by·[^]*·Row·2·base·0\.3000,·tuned·0\.4000·\(\+0\.1000\)·/);
  assert.match(words, /·Data·rows·27·limits·maxLength·whole·256·68·%·512·92·%·/);
  assert.match(words, /·Settings·model·owner\/some-model·data·rows\.jsonl·r·16·learningRate·2e-4·quiet·no·$/);
  assert.equal(page.match(/<svg /g)!.length, 4); // each chart for wide and for narrow windows
  await Deno.remove(run, { recursive: true });
});

Deno.test("what a run lacks is left out; a folder without a run, and damaged files, are told", async () => {
  const run = await Deno.makeTempDir();
  await assert.rejects(
    report(run),
    (error) => error instanceof UserError && /holds no run: there is neither/.test(error.message),
  );
  await makeLog(run, 3, "done");
  const page = await Deno.readTextFile(await report(run, { title: "A & B" }));
  assert.match(page, /<h1>A &amp; B<\/h1>/);
  assert.deepEqual([...page.matchAll(/<h2 id="(\w+)"/g)].map(([, id]) => id), ["curves"]);
  assert.match(await Deno.readTextFile(await report(run)), new RegExp(`<h1>${basename(run)}</h1>`));
  for (const [name, text] of [["settings.json", "[1, 2]"], ["data.json", "{"]]) {
    await Deno.writeTextFile(join(run, name), text);
    await assert.rejects(
      report(run),
      (error: Error) => error instanceof UserError && error.message.includes(`${name} holds no object`),
    );
    await Deno.remove(join(run, name));
  }
  await makeEvaluation(run, "text");
  await Deno.remove(join(run, "log.jsonl"));
  const without = await Deno.readTextFile(await report(run));
  assert.deepEqual([...without.matchAll(/<h2 id="(\w+)"/g)].map(([, id]) => id), ["scores", "samples"]);
  for (
    const damaged of [
      "{}",
      '{"models":["base"],"rows":1,"resamples":1,"confidence":1,"measures":[{"name":"x"}]}',
    ]
  ) {
    await Deno.writeTextFile(join(run, "evaluation", "scores.json"), damaged);
    await assert.rejects(
      report(run),
      (error: Error) =>
        error instanceof UserError && /scores\.json is not what evaluate writes/.test(error.message),
    );
  }
  await Deno.remove(run, { recursive: true });
});

Deno.test("markup escapes what is put in, and keeps what is its own", () => {
  const inner = markup`<b>${"<i>"}</b>`;
  assert.equal(
    markup`${inner}${["a", 1, undefined, inner]}"${'"'}`.html,
    '<b>&lt;i&gt;</b>a1<b>&lt;i&gt;</b>"&quot;',
  );
});

Deno.test("small charts for telephones: pictures under one another, bars without losses", async () => {
  const steps = [1, 2, 3].map((step) => ({
    kind: "step" as const,
    step,
    time: step,
    loss: 1,
    gradNorm: 1,
    learningRate: 1,
  }));
  const widthOf = (svg: string) => Number(/width="(\d+)"/.exec(svg)![1]);
  const [wide, narrow] = await Promise.all(
    [1, 2].map(async (n) =>
      widthOf(await renderSVG(await plotRun(steps, n === 1 ? {} : { width: 210, columns: 1 })))
    ),
  );
  assert.ok(narrow < 360 && wide > 560, `${wide} ${narrow}`);
  const value = { value: 0.5, low: 0.4, high: 0.6 };
  const loss = { name: "loss", max: 1, lowerIsBetter: true, values: { base: value }, changes: {} };
  const only = { models: ["base"], rows: 1, confidence: 0.95, measures: [loss] };
  assert.throws(() => evaluationChart(only), UserError);
  const svg = await renderSVG(
    evaluationChart({ ...only, measures: [loss, { ...loss, name: "BLEU", max: 100, lowerIsBetter: false }] }),
  );
  assert.ok(svg.includes(">BLEU<") && !svg.includes(">loss<"));
});
