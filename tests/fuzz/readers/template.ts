// Chat templates: programs from strangers, some of which never end.
import { loadTokenizer } from "../../../lib/text/tokenizer.ts";
import { mutateBytes } from "../mutate_bytes.ts";
import { folderFiles } from "../mutate_folder.ts";
import { below, chance, pick } from "../random.ts";
import { decode, encode, type Reader } from "../reader.ts";

const FILE = "chat_template.jinja";
const SEED = `{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}
{{ '<|user|>\n' + message['content'] | trim }}{% elif loop.last %}{% generation %}{{ message.content }}{% endgeneration %}
{% else %}{{ message['content'] }}{% set ns = namespace(n=0) %}{% endif %}{% endfor %}{% if add_generation_prompt %}x{% endif %}`;

/** Pieces that run on, grow, fail, or are merely odd. */
const PIECES = [
  "{% for i in range(10**9) %}x{% endfor %}",
  "{% for i in range(1000000000) %}x{% endfor %}",
  "{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}",
  "{% set ns = namespace(s='xx') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
  "{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = ns.a + ns.a %}{% endfor %}",
  "{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a | tojson }}",
  "{% set ns = namespace(a=1) %}{% set ns.a = ns %}{{ ns | tojson }}{{ ns }}",
  "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}",
  "{% macro m(x) %}{{ m(x) }}{{ m(x) }}{% endmacro %}{{ m(1) }}",
  "{{ 'x' | indent(500000000) }}",
  "{{ messages | tojson(indent=100000000) }}",
  "{{ 'x' * 1000000000 }}",
  "{{ messages[0].content.replace('', 'y' * 100000) }}",
  "{{ raise_exception('no') }}",
  "{{ range(0, 10, 0) }}",
  "{{ messages[99].content.strip().split('a')[5] }}",
  "{{ none.x.y }}",
  "{{ '\u001b[31m' + constructor }}",
  `${"{% if true %}".repeat(3000)}${"{% endif %}".repeat(3000)}`,
  `{{ ${"(".repeat(5000)}1${")".repeat(5000)} }}`,
];

const reader: Reader = {
  name: "template",
  outer: "the template is text in UTF-8 in which every {% and {{ is closed",
  allowance: 64 << 20, // a text may grow to 16 million characters
  seeds: async () => [(await folderFiles("tiny_tokenizer")).set(FILE, encode(SEED))],
  mutate(files, random) {
    let text = SEED;
    for (let left = below(random, 3); left > 0; left--) {
      const parts = text.split(/(?=\{[{%])|(?<=[}%]\})/);
      const at = below(random, parts.length + 1);
      if (chance(random, 0.6)) parts.splice(at, 0, pick(random, PIECES));
      else if (chance(random, 0.5)) parts.splice(at, 1);
      else parts.splice(at, 0, pick(random, parts));
      text = parts.join("");
    }
    const bytes = encode(text);
    files.set(FILE, chance(random, 0.3) ? mutateBytes(bytes, random, 2) : bytes);
  },
  passesOuter(files) {
    const text = decode(files.get(FILE)!);
    const count = (mark: RegExp) => text.match(mark)?.length ?? 0;
    return count(/\{\{/g) === count(/\}\}/g) && count(/\{%/g) === count(/%\}/g);
  },
  async read(folder) {
    const tokenizer = (await loadTokenizer(folder))!;
    const messages = [{ role: "user", content: "Hi." }, { role: "assistant", content: "A bond is a loan." }];
    tokenizer.applyChatTemplate(messages);
    tokenizer.applyChatTemplate(messages.slice(0, 1), { addGenerationPrompt: true });
  },
};
export default reader;
