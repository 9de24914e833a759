// A PDF: objects, streams and cross-references out of order.
import { join } from "@std/path";
import { loadPDF } from "../../../lib/data/pdf.ts";
import { folderFiles } from "../mutate_folder.ts";
import { mutateBytes, patchBytes } from "../mutate_bytes.ts";
import { chance } from "../random.ts";
import { decode, type Reader } from "../reader.ts";

const FILE = "report.pdf";

const reader: Reader = {
  name: "pdf",
  outer: "the file begins with %PDF- and names a trailer",
  allowance: 96 << 20, // the library's fonts, tables and caches
  async seeds() {
    const files = await folderFiles("pdf", [FILE]);
    return [files];
  },
  mutate(files, random) {
    const bytes = files.get(FILE)!;
    files.set(FILE, chance(random, 0.5) ? patchBytes(bytes, random) : mutateBytes(bytes, random));
  },
  passesOuter: (files) => /^%PDF-[^]*(trailer|\/Root)/.test(decode(files.get(FILE)!)),
  read: async (folder) => await loadPDF(join(folder, FILE)),
};
export default reader;
