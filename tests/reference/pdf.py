"""Writes pdf/words.json: the words of each page of pdf/report.pdf as pdfminer and pypdf extract them, and pdf/locked.pdf, the
same with a password. report.pdf itself: deno run -A tests/pdf_report.ts. Needs pdfminer.six 20260107, pypdf 7.1.0."""

import json
import pathlib

import pypdf
from pdfminer.high_level import extract_text

HERE = pathlib.Path(__file__).parent / "pdf"

reader = pypdf.PdfReader(HERE / "report.pdf")
miner = [extract_text(HERE / "report.pdf", page_numbers=[i]).split() for i in range(len(reader.pages))]
others = [page.extract_text().split() for page in reader.pages]
assert [sorted(words) for words in miner] == [sorted(words) for words in others]
(HERE / "words.json").write_text(json.dumps([sorted(words) for words in miner]))

writer = pypdf.PdfWriter(clone_from=reader)
writer.encrypt("secret", algorithm="RC4-128")
writer.write(HERE / "locked.pdf")
