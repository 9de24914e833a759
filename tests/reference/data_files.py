"""Parquet files of every codec and type with their rows as JSON, and the rows of the files in shared/data as pandas reads
them. Needs pandas and pyarrow: python tests/reference/data_files.py [shared folder]"""

import datetime
import decimal
import hashlib
import json
import pathlib
import sys

import pandas
import pyarrow
import pyarrow.parquet

HERE = pathlib.Path(__file__).parent / "data_files"
SHARED = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "../shared")
UTC = datetime.timezone.utc

MESSAGE = pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string())])
SCHEMA = pyarrow.schema([
    pyarrow.field("id", pyarrow.int64(), nullable=False),
    ("large", pyarrow.int64()),
    ("unsigned", pyarrow.uint64()),
    ("small", pyarrow.int8()),
    ("label", pyarrow.dictionary(pyarrow.int32(), pyarrow.string())),
    ("text", pyarrow.string()),
    ("score", pyarrow.float64()),
    ("half", pyarrow.float32()),
    ("flag", pyarrow.bool_()),
    ("price", pyarrow.decimal128(12, 2)),
    ("day", pyarrow.date32()),
    ("at_ms", pyarrow.timestamp("ms", tz="UTC")),
    ("at_us", pyarrow.timestamp("us")),
    ("at_ns", pyarrow.timestamp("ns")),
    ("messages", pyarrow.list_(MESSAGE)),
    ("answers", pyarrow.struct([("text", pyarrow.list_(pyarrow.string())), ("start", pyarrow.list_(pyarrow.int64()))])),
    ("matrix", pyarrow.list_(pyarrow.list_(pyarrow.int32()))),
    ("nothing", pyarrow.null()),
])


def rows(count):
    made = []
    for i in range(count):
        gap = i % 5 == 3
        moment = datetime.datetime(1969 + i, 1 + i % 12, 1 + i % 28, i % 24, 5, 6, 123456 + i)
        made.append({
            "id": i,
            "large": None if gap else 2**53 - 1 - i,
            "unsigned": None if gap else i * 10**6,
            "small": None if gap else i - 20,
            "label": None if gap else ["positive", "neutral", "negative"][i % 3],
            "text": None if gap else ("naïve 日本 \U0001f4b6 " + "bond " * (i % 7)).strip(),
            "score": None if gap else i / 7,
            "half": None if gap else i / 4,
            "flag": None if gap else i % 2 == 0,
            "price": None if gap else decimal.Decimal(i * 10 + 3) / 100 - 1,
            "day": None if gap else moment.date(),
            "at_ms": None if gap else moment.replace(microsecond=123000, tzinfo=UTC),
            "at_us": None if gap else moment,
            "at_ns": None if gap else pandas.Timestamp(moment) + pandas.Timedelta(789, "ns"),
            "messages": None if gap else [
                {"role": ["user", "assistant"][k % 2], "content": f"turn {k} of row {i}" if k != 3 else None}
                for k in range(i % 5)
            ],
            "answers": None if gap else {"text": [f"a{i}"] * (i % 3), "start": [i + k for k in range(i % 3)]},
            "matrix": None if gap else [[k] * k for k in range(i % 4)],
            "nothing": None,
        })
    return made


def plain(value):
    """What a row of ours holds."""
    if isinstance(value, pandas.Timestamp):
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond:06d}{value.nanosecond:03d}Z"
    if isinstance(value, datetime.datetime):
        digits = f"{value.microsecond:06d}"
        return f"{value:%Y-%m-%dT%H:%M:%S}.{digits[:3] if value.tzinfo else digits}Z"
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


def whole(value):
    """JSON numbers as JavaScript prints them: 1.0 is 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: whole(inner) for key, inner in value.items()}
    return [whole(inner) for inner in value] if isinstance(value, list) else value


def parquet():
    HERE.mkdir(exist_ok=True)
    table = pyarrow.Table.from_pylist(rows(40), SCHEMA)
    write = pyarrow.parquet.write_table
    for codec in ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]:
        write(table, HERE / f"{codec}.parquet", compression=codec, row_group_size=16)
    write(table, HERE / "v2.parquet", data_page_version="2.0", compression="zstd", use_dictionary=False, data_page_size=200)
    few = table.select(["id", "large", "text", "label"])
    write(few, HERE / "delta.parquet", use_dictionary=False, column_encoding={
        "id": "DELTA_BINARY_PACKED", "large": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY",
        "label": "DELTA_LENGTH_BYTE_ARRAY"})
    same = pyarrow.table({"n": pyarrow.array([7]).take(pyarrow.array([0] * 3_000_000))})
    write(same, HERE / "bomb.parquet", compression="zstd", row_group_size=3_000_000)
    expected = [plain(row) for row in pyarrow.parquet.read_table(HERE / "none.parquet").to_pylist()]
    (HERE / "rows.json").write_text(json.dumps(expected, ensure_ascii=False), "utf-8")


def digest(records):
    """One hash for all rows: field names and values as JSON, a row a line."""
    hash = hashlib.sha256()
    for record in records:
        hash.update((json.dumps(whole(record), ensure_ascii=False, separators=(",", ":")) + "\n").encode())
    return hash.hexdigest()


def shared():
    seen = {}
    for path in sorted((SHARED / "data").rglob("*.*")):
        name = str(path.relative_to(SHARED / "data"))
        if path.suffix == ".csv":
            encoding = "cp1252" if "latin1" in name else "utf-8"  # what browsers, and we, mean by latin-1
            frame = pandas.read_csv(path, dtype=str, keep_default_na=False, encoding=encoding)
            records = frame.to_dict("records")
        elif path.suffix == ".jsonl":
            records = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line.strip()]
        else:
            text = path.read_text("utf-8")
            try:
                records = json.loads(text)
            except json.JSONDecodeError:
                records = [json.loads(line) for line in text.split("\n") if line.strip()]
        fields = list(dict.fromkeys(field for record in records for field in record))
        seen[name] = {"rows": len(records), "fields": fields, "sha256": digest(records)}
    (HERE / "shared.json").write_text(json.dumps(seen, indent=1), "utf-8")


if __name__ == "__main__":
    parquet()
    shared()
