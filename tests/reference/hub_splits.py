"""Which files of a repository are which split, by Hugging Face datasets 5.2.0: writes hub_splits/cases.json.

pip install datasets==5.2.0; the repositories are made of empty files, only their names count.
"""

import json
import tempfile
from pathlib import Path

import yaml
from datasets.data_files import DataFilesDict, get_data_patterns, sanitize_patterns
from datasets.load import infer_module_for_data_files
from datasets.packaged_modules import _MODULE_TO_EXTENSIONS

READABLE = [".parquet", ".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt"]

REPOSITORIES = [
    ["data.csv"],
    ["README.md", ".gitattributes", "Cleaned_date.json"],
    ["train.jsonl", "test.jsonl", "validation.jsonl"],
    ["train.csv", "dev.csv", "my_test_file.csv", "eval-2.csv"],
    ["data/train-00000-of-00003.parquet", "data/train-00002-of-00003.parquet", "data/train-00001-of-00003.parquet",
     "data/test-00000-of-00001.parquet", "extra/train.parquet"],
    ["data/train_sft-00000-of-00001-abc.parquet", "data/test_sft-00000-of-00001-def.parquet"],
    ["data/abc.csv", "data/def.csv"],
    ["train/a.jsonl", "train/b.jsonl", "test/c.jsonl", "other/d.jsonl"],
    ["data/train/a.parquet", "data/val/a.parquet", "data/training_2/b.parquet"],
    ["en/train-00000-of-00001.parquet", "de/train-00000-of-00001.parquet", "de/test-00000-of-00001.parquet"],
    ["finance-train.json", "finance-test.json", "trainer.json"],
    ["train.csv", "train.json", "a.json", "b.json"],
    ["rows.jsonl", "LICENSE.txt"],
    [".hidden/train.csv", "__pycache__/train.csv", "a.csv"],
    ["part 1/train 1.csv", "part 2/TRAIN.csv", "testing.csv"],
    ["sub/deep/er/valid_1.tsv", "sub/x.tsv"],
    ["train1.csv", "train2.csv", "test10.csv"],
    ["dataset_info.json", "config.json", "x.json", "dataset_dict.json"],
]

CARDS = [
    ("data_files: data.csv", ["data.csv", "holdout.csv"]),
    ("data_files: '*.csv'", ["a.csv", "sub/b.csv", "c.json"]),
    ("data_files: [part0/*, part1/*]", ["part0/b.jsonl", "part0/a.jsonl", "part1/c.jsonl", "part2/d.jsonl"]),
    ("data_files: [{split: train, path: data/train-*}, {split: test, path: [x/1.parquet, x/0.parquet]}]",
     ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "x/0.parquet", "x/1.parquet"]),
    ("data_files: [{split: train, path: '**/*.jsonl'}]", ["a.jsonl", "b/c.jsonl", "b/d/e.jsonl", ".f/g.jsonl"]),
    ("data_files: [{split: train, path: 'data/**'}]", ["data/a.jsonl", "data/b/c.jsonl", "d.jsonl"]),
    ("data_files: [{split: gen, path: 'x_[0-9][!1]?.csv'}]", ["x_001.csv", "x_011.csv", "x_0a1.csv", "x_00.csv"]),
    ("data_files: [{split: train, path: ./data/a.csv}]", ["data/a.csv"]),
]


def repository(names: list[str]) -> str:
    folder = Path(tempfile.mkdtemp())
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return str(folder)


def splits(folder: str, patterns: dict[str, list[str]]) -> dict[str, list[str]]:
    files = DataFilesDict.from_patterns(patterns, base_path=folder, allowed_extensions=READABLE)
    module, _ = infer_module_for_data_files(files)
    files = files.filter(extensions=_MODULE_TO_EXTENSIONS[module])
    return {str(split): [str(Path(name).relative_to(folder)) for name in names] for split, names in files.items()}


def main() -> None:
    cases = []
    for names in REPOSITORIES:
        folder = repository(names)
        cases.append({"files": names, "card": None, "splits": splits(folder, get_data_patterns(folder))})
    for card, names in CARDS:
        folder = repository(names)
        patterns = sanitize_patterns(yaml.safe_load(card)["data_files"])
        cases.append({"files": names, "card": card, "splits": splits(folder, patterns)})
    out = Path(__file__).parent / "hub_splits" / "cases.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(cases, indent=1) + "\n")
    for case in cases:
        print(case["card"] or case["files"], "->", case["splits"])


if __name__ == "__main__":
    main()
