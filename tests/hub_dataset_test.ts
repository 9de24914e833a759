// Data sets on the loopback Hub: which files are which subset and split, against Python's datasets and by the card.
import assert from "node:assert/strict";
import { loadDataset } from "../lib/data/load.ts";
import { UserError } from "../lib/errors.ts";
import { datasetFiles, type HubDatasetOptions } from "../lib/hub/dataset.ts";
import { matchesGlob } from "../lib/hub/glob.ts";
import type { HubSettings } from "../lib/hub/settings.ts";
import { type HubRepo, type HubServer, startHub, variablesFor, withVariables } from "./hub_server.ts";
import { readJson } from "./references.ts";

async function withHub(
  repos: Record<string, HubRepo>,
  action: (settings: HubSettings, hub: HubServer) => Promise<void>,
): Promise<void> {
  await using hub = startHub(repos);
  const cache = await Deno.makeTempDir();
  const settings: HubSettings = {
    ...{ endpoint: hub.url, cache, offline: false, symlinks: true, quiet: true, timeout: 5000 },
    sleep: () => Promise.resolve(),
  };
  try {
    await action(settings, hub);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

/** The files of a split, by their paths in the repository. */
async function chosen(settings: HubSettings, id: string, options: HubDatasetOptions): Promise<string[]> {
  const paths = await datasetFiles(id, options, settings);
  return paths.map((path) => path.split(/snapshots[/\\][0-9a-f]{40}[/\\]/)[1].replaceAll("\\", "/"));
}

async function refused(action: Promise<unknown>, pattern: RegExp): Promise<void> {
  await assert.rejects(
    action,
    (error: Error) => error instanceof UserError && pattern.test(error.message) || assert.fail(error),
  );
}

const card = (yaml: string) => `---\nlicense: mit\n${yaml}\n---\n# Card\n`;
const filesOf = (names: string[], readme?: string): Record<string, string> => ({
  ...(readme && { "README.md": readme }),
  ...Object.fromEntries(names.map((name) => [name, `content of ${name}`])),
});

Deno.test("splits are those of Python's datasets", async () => {
  const cases = await readJson<{ files: string[]; card: string | null; splits: Record<string, string[]> }[]>(
    "hub_splits",
    "cases.json",
  );
  assert.equal(cases.length, 26);
  const repos = cases.map(({ files, card: yaml }, i): [string, HubRepo] => [
    `datasets/acme/case${i}`,
    {
      files: filesOf(files, yaml === null ? undefined : card(`configs:\n- config_name: default\n  ${yaml}`)),
    },
  ]);
  await withHub(Object.fromEntries(repos), async (settings) => {
    for (const [i, { files, splits }] of cases.entries()) {
      for (const [split, expected] of Object.entries(splits)) {
        assert.deepEqual(await chosen(settings, `acme/case${i}`, { split }), expected, `${files} ${split}`);
      }
      const all = await chosen(settings, `acme/case${i}`, { split: "all" });
      assert.deepEqual(all, Object.values(splits).flat());
    }
  });
});

Deno.test("several subsets: the default, one by name, else all are named; only the chosen files are fetched", async () => {
  const configs = (second: string) =>
    card(
      `configs:\n- config_name: small\n  data_files: small/*.jsonl\n- config_name: large\n${second}  data_files:\n  - split: train\n    path: large/a-*\n  - split: test\n    path: large/b.jsonl`,
    );
  const names = ["small/x.jsonl", "large/a-1.jsonl", "large/a-2.jsonl", "large/b.jsonl"];
  const repos = {
    "datasets/acme/open": { files: filesOf(names, configs("")) },
    "datasets/acme/default": { files: filesOf(names, configs("  default: true\n")) },
  };
  await withHub(repos, async (settings, hub) => {
    await refused(
      datasetFiles("acme/open", {}, settings),
      /^acme\/open has several subsets: say which with \{ subset \} \("small", "large"\)\.$/,
    );
    await refused(
      datasetFiles("acme/open", { subset: "huge" }, settings),
      /has no subset "huge"; there are "small", "large"\./,
    );
    assert.deepEqual(await chosen(settings, "acme/open", { subset: "small" }), ["small/x.jsonl"]);
    hub.log.length = 0;
    assert.deepEqual(await chosen(settings, "acme/default", { split: "test" }), ["large/b.jsonl"]);
    const fetched = hub.log.filter(({ path }) => path.includes("/resolve/")).map(({ path }) =>
      path.split("/").slice(6).join("/")
    );
    assert.deepEqual(fetched, ["README.md", "large/b.jsonl"]);
    assert.deepEqual(await chosen(settings, "acme/default", {}), ["large/a-1.jsonl", "large/a-2.jsonl"]);
    await refused(
      datasetFiles("acme/default", { split: "dev" }, settings),
      /has no split "dev" in subset "large"; there are "train", "test"\./,
    );
  });
});

Deno.test('without a card: a folder is a subset; without "train" the splits are named; data_dir', async () => {
  const repos = {
    "datasets/acme/folders": { files: filesOf(["en/train.csv", "en/test.csv", "de/train.csv"]) },
    "datasets/acme/chat": {
      files: filesOf(["data/train_sft-00000-of-00001.parquet", "data/test_sft-00000-of-00001.parquet"]),
    },
    "datasets/acme/only": { files: filesOf(["test.csv"]) },
    "datasets/acme/dir": {
      files: filesOf(
        ["en/train.csv", "de/train.csv"],
        card("configs:\n- config_name: en\n  data_dir: en\n- config_name: de\n  data_dir: ./de/"),
      ),
    },
  };
  await withHub(repos, async (settings) => {
    assert.deepEqual(await chosen(settings, "acme/folders", { subset: "en" }), ["en/train.csv"]);
    await refused(datasetFiles("acme/folders", { subset: "fr" }, settings), /no subset "fr"/);
    await refused(
      datasetFiles("acme/chat", {}, settings),
      /has no split "train": say which with \{ split \} \("test_sft", "train_sft"\)/,
    );
    assert.deepEqual(await chosen(settings, "acme/only", {}), ["test.csv"]);
    assert.deepEqual(await chosen(settings, "acme/dir", { subset: "de" }), ["de/train.csv"]);
  });
});

Deno.test("a data set of a script: the Parquet files that the Hub made of it", async () => {
  const exported = filesOf([
    "main/train/0000.parquet",
    "main/train/0001.parquet",
    "main/partial-test/0000.parquet",
    "extra/train/0000.parquet",
  ]);
  const script = {
    "script.py": "class Builder: ...",
    "LICENSE.txt": "MIT",
    "README.md": card("pretty_name: Script"),
  };
  const repos = {
    "datasets/acme/script": { files: script, revisions: { "refs/convert/parquet": exported } },
    "datasets/acme/bare": { files: { "README.md": "x" } },
  };
  await withHub(repos, async (settings, hub) => {
    await refused(
      datasetFiles("acme/script", {}, settings),
      /several subsets: say which .* \("main", "extra"\)|several subsets.*"extra", "main"/,
    );
    assert.deepEqual(await chosen(settings, "acme/script", { subset: "main" }), [
      "main/train/0000.parquet",
      "main/train/0001.parquet",
    ]);
    assert.deepEqual(await chosen(settings, "acme/script", { subset: "main", split: "test" }), [
      "main/partial-test/0000.parquet",
    ]);
    const ref = await Deno.readTextFile(`${settings.cache}/datasets--acme--script/refs/refs/convert/parquet`);
    assert.equal(ref, hub.commit("datasets/acme/script", "refs/convert/parquet"));
    await refused(
      datasetFiles("acme/bare", {}, settings),
      /holds no Parquet, JSON, CSV or text files at revision "main", and the Hub has made none/,
    );
  });
});

Deno.test("cards that are broken or hostile: a sentence", async () => {
  const cases: [string, RegExp][] = [
    ["configs: [", /README\.md: its head is not valid YAML/],
    ["configs: 7", /"configs" is no list/],
    ["configs:\n- data_files: x", /has no "config_name"/],
    ["configs:\n- config_name: a\n  data_files:\n  - path: x", /has no "split"/],
    ["configs:\n- config_name: a\n  data_files: {split: 1}", /has no "split"/],
    ["configs:\n- config_name: a\n  data_files: ../../etc/*", /fit no file that can be read/],
    [
      "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nconfigs: [*c,*c,*c]",
      /not valid YAML/,
    ],
  ];
  const repos = Object.fromEntries(
    cases.map(([yaml], i) => [`datasets/acme/c${i}`, { files: filesOf(["a.csv"], card(yaml)) }]),
  );
  await withHub(repos, async (settings) => {
    for (const [i, [, pattern]] of cases.entries()) {
      await refused(datasetFiles(`acme/c${i}`, {}, settings), pattern);
    }
  });
});

Deno.test("patterns are matched in linear time", () => {
  const started = performance.now();
  assert.equal(matchesGlob("a".repeat(1000), "*a".repeat(200) + "b"), false);
  assert.equal(matchesGlob("a/".repeat(400) + "a", "**/*a/".repeat(60) + "b"), false);
  assert.ok(performance.now() - started < 1000);
});

Deno.test("loadDataset: rows by a name on the Hub, offline the second time", async () => {
  const files = {
    "train.jsonl": '{"q":"bond?","a":"a loan"}\n',
    "test.jsonl": '{"q":"share?","a":"a part"}\n',
  };
  await withHub({ "datasets/acme/rows": { files } }, async (settings, hub) => {
    await withVariables(variablesFor(hub, settings.cache), async () => {
      assert.deepEqual([...await loadDataset("acme/rows")], [{ q: "bond?", a: "a loan" }]);
      assert.deepEqual([...await loadDataset("acme/rows", { split: "test" })], [{
        q: "share?",
        a: "a part",
      }]);
      hub.log.length = 0;
      Deno.env.set("HF_HUB_OFFLINE", "1");
      assert.equal((await loadDataset("acme/rows")).length, 1);
      assert.equal(hub.log.length, 0);
    });
  });
});
