// Which of Xet's blocks (xorbs) a push has sent, kept beside the cache: a file's description goes to storage only once all its
// blocks are there, so after a cut the storage itself does not say which of them it has. huggingface_hub keeps its own list.
import { dirname, join } from "@std/path";
import { writeFileAtomic } from "../formats/atomic.ts";
import type { Repo } from "./names.ts";
import type { HubSettings } from "./settings.ts";

/** The blocks that storage has. */
export interface SentXorbs {
  has(xorb: string): boolean;
  /** Remembers one, on disk too. */
  add(xorb: string): Promise<void>;
  /** Once a push is through, or storage says it lacks one. */
  forget(): Promise<void>;
}

/** Storage clears away blocks that belong to no file; a push is taken up the same day or begins anew. */
const KEPT_MS = 24 * 3600 * 1000;

/** Reads what an earlier push to the repository has left. A list that cannot be kept costs only the sending. */
export async function sentXorbs(settings: HubSettings, { type, id }: Repo): Promise<SentXorbs> {
  const name = `${type}s--${id.replaceAll("/", "--")}.json`;
  const path = join(settings.cache, ".pushes", name);
  const sent = await readSent(path, settings.endpoint);
  const write = async () => {
    const xorbs = Object.fromEntries(sent);
    await writeFileAtomic(path, JSON.stringify({ endpoint: settings.endpoint, xorbs }));
  };
  return {
    has: (xorb) => sent.has(xorb),
    async add(xorb) {
      sent.set(xorb, Date.now());
      await Deno.mkdir(dirname(path), { recursive: true }).then(write).catch(() => {});
    },
    async forget() {
      sent.clear();
      await Deno.remove(path).catch(() => {});
    },
  };
}

async function readSent(path: string, endpoint: string): Promise<Map<string, number>> {
  try {
    const { endpoint: of, xorbs } = JSON.parse(await Deno.readTextFile(path));
    const fresh = Object.entries(xorbs as Record<string, number>).filter(([xorb, time]) =>
      /^[0-9a-f]{64}$/.test(xorb) && Date.now() - time < KEPT_MS
    );
    return new Map(of === endpoint ? fresh : []);
  } catch {
    return new Map();
  }
}
